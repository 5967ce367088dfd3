"""What comes after: `export`, `reproduce`, `ls`."""

from pathlib import Path

import pandas as pd

from gazetune.attention import METHODS
from gazetune.commands.settings import of_run
from gazetune.data import READERS
from gazetune.data.sources import LABELLED
from gazetune.experiment import CONTROLS
from gazetune.export import export_model
from gazetune.loading import (
    experiment_names,
)
from gazetune.metrics import METRICS
from gazetune.parity.corruptions import CORRUPTIONS
from gazetune.report.reproduce import beside, write_reproduction
from gazetune.report.subject import Subject
from gazetune.report.tolerance import missed, tolerances
from gazetune.run import CONFIG, Run
from gazetune.training.targets import TARGETS


def export_run(path: Path, model: str, to: str, form: str = "huggingface", onnx: bool = False) -> str:
    """Write a tuned model of a run where others can use it, with a model card; returns what was written, in words."""
    run = Run(path)
    return export_model(run, of_run(run), model, to, form, onnx)


def reproduce_run(path: Path, check: Path | None = None) -> tuple[Subject, pd.DataFrame, list[str]]:
    """Every number of the paper beside the run's: reproduce.csv and reproduce.html; and what misses its tolerance."""
    run = Run(path)
    experiment = of_run(run)
    allowed = tolerances(check) if check is not None else {}
    subject = Subject(run, experiment.model_dump(mode="json"), experiment.roles())
    table = beside(subject)
    with run.locked():
        write_reproduction(subject, table)
    return subject, table, missed(table, allowed)


def inventory() -> dict[str, list[str]]:
    """Everything that can be named on the command line or in a YAML file."""
    return {
        "experiments": experiment_names(),
        "data sets": [*READERS, "synthetic"],
        "metrics": list(METRICS),
        "attention methods": list(METHODS),
        "targets": list(TARGETS),
        "controls": list(CONTROLS),
        "labelled images": list(LABELLED),
        "corruptions": list(CORRUPTIONS),
        "runs": [str(p.parent) for p in sorted(Path("runs").glob(f"*/{CONFIG}"))],
    }

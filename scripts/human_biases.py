"""What people look at in a study of your own: the bias analyses of human maps alone, without photos or models.

    python scripts/human_biases.py STUDY [--sigma 15] [--contrasts FILE.yaml] [--output FOLDER]

STUDY holds fixations.csv and objects.csv (docs/data.md). Rows: humans, the centre Gaussian and the mean map, both of
the other images; contrasts are also reported over the mean map. FILE.yaml has contrasts of your own, as in an
experiment (docs/biases.md). Prints each contrast within each row, over the mean map, and who was left out; writes all
tables as CSVs to FOLDER, by default STUDY/biases.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from gazetune.biases import Contrast
from gazetune.biases.analyse import BiasTables, analyse
from gazetune.data.table import load_table
from gazetune.errors import InputError
from gazetune.maps import Human, densities, grid_points
from gazetune.metrics.score import Maps
from gazetune.priors import of_others
from gazetune.report.biases import bias_tables
from gazetune.tables.rows import GAUSSIAN, HUMAN, OTHERS

TABLES = ("contrasts", "objects", "sparsity", "tests", "means", "exclusions")


def human_biases(study: Path, sigma_px: float = 15.0, own: dict[str, Contrast] | None = None) -> BiasTables:
    """All bias analyses of a study's human maps, 224x224, and of the two priors that its other images give.

    Raises InputError: the study cannot be read or has no objects; a contrast that its objects do not have.
    """
    stimuli = load_table(study)
    if stimuli.find_objects is None:
        raise InputError(f"'{study}' has no objects: needed objects.csv beside its fixations (docs/data.md).")
    points = grid_points(stimuli, Human(sigma_px=sigma_px))
    priors = of_others(points)

    rows: dict[str, Maps] = {HUMAN: partial(densities, points), GAUSSIAN: priors.gaussian, OTHERS: priors.mean_map}
    return analyse(stimuli, rows, own, prior=OTHERS)


def contrasts_of(file: Path | None) -> dict[str, Contrast]:
    """The contrasts of a YAML file, under `contrasts:`."""
    if file is None:
        return {}
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, Contrast]).validate_python(given["contrasts"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as reason:
        raise InputError(f"'{file}' needs `contrasts:` as an experiment has them (docs/biases.md): {reason}") from None


def show(found: BiasTables, console: Console) -> None:
    """Print the tables that a report has, without those between models."""
    records = {"bias_tests": found.tests, "bias_means": found.means.rename(columns={"key": "model"})}
    summary = {kind: table.to_dict("records") for kind, table in (records | {"exclusions": found.exclusions}).items()}
    for shown in bias_tables(summary, found.tests["dataset"].iloc[0], {}):
        table = Table(title=shown.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in shown.head:
            table.add_column(name, justify="right" if name else "left", overflow="fold")
        for row in shown.rows:
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--sigma", type=float, default=15.0, help="of the human maps, in pixels of the 224x224 grid")
    parser.add_argument("--contrasts", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    try:
        tables = human_biases(given.study, given.sigma, contrasts_of(given.contrasts))
    except (InputError, ValidationError) as reason:
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
    show(tables, Console())
    output = given.output or given.study / "biases"
    output.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        getattr(tables, name).to_csv(output / f"{name}.csv", index=False)
    print(f"all tables: {output}")

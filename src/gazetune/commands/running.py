"""Train, score and compare: `run`, `train`, `demo`, `compare`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gazetune.code import allow
from gazetune.commands.settings import grouped, resolved, with_options, with_palette, with_protocol
from gazetune.commands.stages import execute
from gazetune.comparison import comparison, without_training_images
from gazetune.job import pick_device
from gazetune.loading import (
    lay_over,
    load_data,
    parse,
)
from gazetune.plan import print_plan
from gazetune.run import Run


def run_experiment(
    experiment: str,
    data: Sequence[str] | None = None,
    weights: str | None = None,
    output: Path | None = None,
    resume: bool = False,
    limit: int | None = None,
    seeds: str | None = None,
    controls: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    settings: Sequence[str] | None = None,
    allow_code: bool = False,
    by: Sequence[str] | None = None,
    train_only: bool = False,
    protocol: str | None = None,
    measure: bool = True,
    palette: str | None = None,
) -> dict[str, Any] | None:
    """Run all stages of an experiment (or, with `dry_run`, print the plan) and return its summary.

    protocol: `paper` stops early on a part of the test images. measure: whether the plan tells the time it will take.
    palette: of the figures, in place of the experiment's.
    """
    allow(allow_code)
    chosen, output = resolved(experiment, output, resume, settings or ())
    chosen = with_palette(with_protocol(chosen, protocol), palette)
    chosen = grouped(chosen, by or ())
    chosen = with_options(chosen, data or (), weights, limit, seeds, controls, precision, skip_bad, pick_device(device))
    run = Run(output or chosen.default_output)
    if dry_run:
        print_plan(chosen, run, partial(load_data, skip_bad=chosen.skip_bad), pick_device(device) if measure else None)
        return None
    return execute(chosen, run, resume, device, allow_code, dry_run, train_only, bool(by))


def compare_models(
    models: Sequence[str],
    maps: Sequence[str],
    data: str | None = None,
    images: Path | None = None,
    fixations: Path | None = None,
    output: Path | None = None,
    held_out: bool = False,
    all_images: bool = False,
    resume: bool = False,
    limit: int | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    dry_run: bool = False,
    settings: Sequence[str] | None = None,
    allow_code: bool = False,
    by: Sequence[str] | None = None,
    palette: str | None = None,
) -> dict[str, Any] | None:
    """Score models and folders of maps against the same observers, training nothing, and return the summary."""
    allow(allow_code)
    given = comparison(models, maps, data, images, fixations)
    given |= {"limit": limit} if limit is not None else {}
    given |= {"skip_bad": True} if skip_bad else {}
    for setting in settings or ():
        lay_over(given, setting)
    chosen = with_palette(grouped(parse(given, "compare"), by or ()), palette)
    if not all_images:
        chosen = without_training_images(chosen, held_out)
    run = Run(output or Path("runs") / "compare")
    return execute(chosen, run, resume, device, allow_code, dry_run, regrouped=bool(by))

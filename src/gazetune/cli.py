"""The command line."""

import errno
import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from gazetune.errors import GazetuneError, Interrupted
from gazetune.folder import default_folder, refuse_if_busy

STOPPED = "Stopped. Every finished stage is saved; go on with --resume."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # no room, or none for us

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="Teach a vision transformer to look where people look, and prove what that changed and what it cost.",
)  # fmt: skip

ExperimentName = Annotated[
    str, typer.Argument(help="A built-in experiment (gazetune ls), a YAML file, or a run to go on with.")
]
DataPaths = Annotated[
    list[str] | None, typer.Option("--data", help="Where the data lie: PATH, or NAME=PATH.", metavar="[NAME=]PATH")
]
Weights = Annotated[str | None, typer.Option(help="Start every model from here: hub name, folder, `tiny` or code.")]
Output = Annotated[Path | None, typer.Option(help="The run directory (default: runs/NAME-sSEED).")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on in an existing run directory; finished stages are kept.")]
Limit = Annotated[int | None, typer.Option(min=2, help="At most this many images of each split.")]
Seeds = Annotated[str | None, typer.Option("--seeds", "--seed", help="Train once per seed, e.g. 42 or 0,1,2.")]
Controls = Annotated[
    str | None, typer.Option(help="Controls to add: any of shuffled,centre,uniform,distillation (lambda 0).")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str | None, typer.Option(help="Of training: auto, fp32 or bf16.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out photos and records that cannot be used; list them.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what is missing; do nothing.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, e.g. training.lr=2e-5.", metavar="KEY=VALUE")
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="Compare groups of observers or conditions of images by this column.", metavar="COLUMN"),
]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run metrics of your own that the YAML names.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print summary.json instead of tables.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command(epilog="Example: gazetune demo")
def demo(
    output: Annotated[Path, typer.Option(help="The run directory.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option("--resume", help="Goes without saying: the demo goes on by itself.")] = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The whole path on a generated world with a small ViT that ships along: offline, about two minutes."""
    refuse_if_busy(output)
    from gazetune.commands import run_experiment

    _show(run_experiment("demo", output=output, resume=True), as_json)


@app.command(epilog="Example: gazetune run osie --data data/osie --weights google/vit-base-patch16-224 --dry-run")
def run(
    experiment: ExperimentName,
    data: DataPaths = None,
    weights: Weights = None,
    output: Output = None,
    resume: Resume = False,
    limit: Limit = None,
    seeds: Seeds = None,
    controls: Controls = None,
    device: Device = "auto",
    precision: Precision = None,
    skip_bad: SkipBad = False,
    dry_run: DryRun = False,
    settings: Settings = None,
    allow_code: AllowCode = False,
    by: By = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train every model of an experiment, score them on held-out images, test, draw and report."""
    given = {k: v for k, v in locals().items() if k not in ("as_json", "debug")}
    refuse_if_busy(_folder(experiment, output, seeds))
    from gazetune.commands import run_experiment

    _show(run_experiment(**given), as_json)


@app.command(epilog="Example: gazetune train osie --data data/osie --seeds 0,1,2")
def train(
    experiment: ExperimentName,
    data: DataPaths = None,
    weights: Weights = None,
    output: Output = None,
    resume: Resume = False,
    limit: Limit = None,
    seeds: Seeds = None,
    controls: Controls = None,
    device: Device = "auto",
    precision: Precision = None,
    skip_bad: SkipBad = False,
    dry_run: DryRun = False,
    settings: Settings = None,
    allow_code: AllowCode = False,
    debug: Debug = False,
) -> None:
    """Only train; `gazetune score` does the rest."""
    given = {k: v for k, v in locals().items() if k != "debug"}
    refuse_if_busy(_folder(experiment, output, seeds))
    from gazetune.commands import run_experiment

    run_experiment(**given, train_only=True)


@app.command(epilog="Example: gazetune score runs/osie-s42 --data table:mine=my-study")
def score(
    run: Annotated[Path, typer.Argument(help="A run directory with trained models.")],
    data: DataPaths = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    allow_code: AllowCode = False,
    by: By = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score the models of a run again, or on another data set, of which every image is a test image."""
    refuse_if_busy(run)
    from gazetune.commands import score_run

    _show(score_run(run, data or [], device, skip_bad, allow_code, by), as_json)


COMPARE = """Examples:

gazetune compare --images photos --fixations fixations.csv --model google/vit-base-patch16-224 --maps deepgaze

gazetune compare --data osie=data/osie --model WEIGHTS --model runs/osie-s42/checkpoints/tuned --held-out
"""


@app.command(epilog=COMPARE)
def compare(
    images: Annotated[Path | None, typer.Option(help="The folder of your photos.")] = None,
    fixations: Annotated[Path | None, typer.Option(help="Your CSV: image, observer, x, y.")] = None,
    data: Annotated[str | None, typer.Option(help="Instead: a data set by its reader.", metavar="READER=PATH")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A hub name, a folder or RUN/checkpoints/NAME; repeat.", metavar="[NAME=]WEIGHTS"),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(help="Ready-made saliency maps, PNG or NPY, named as the photos; repeat.", metavar="[NAME=]DIR"),
    ] = None,
    output: Annotated[Path, typer.Option(help="The run directory.")] = Path("runs/compare"),
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Leave out images that a compared checkpoint was trained or chosen on.")
    ] = False,
    all_images: Annotated[bool, typer.Option("--all-images", help="Keep them.")] = False,
    resume: Resume = False,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many images.")] = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    dry_run: DryRun = False,
    settings: Settings = None,
    allow_code: AllowCode = False,
    by: By = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score models, and maps of any other system, against your observers; no training. The first is the reference."""
    given = {k: v for k, v in locals().items() if k not in ("as_json", "debug", "model", "maps")}
    refuse_if_busy(output)
    from gazetune.commands import compare_models

    _show(compare_models(models=model or [], maps=maps or [], **given), as_json)


@app.command(epilog="Example: gazetune biases runs/osie-s42 --data salicon=data/salicon")
def biases(
    run: Annotated[Path, typer.Argument(help="A run directory with models.")],
    data: DataPaths = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animacy, object size, sparsity and contrasts of your own, on images with annotated objects."""
    refuse_if_busy(run)
    from gazetune.commands import score_run
    from gazetune.report.terminal import print_biases

    _show(score_run(run, data or [], device, skip_bad, allow_code, objects=True), as_json, print_biases)


@app.command(epilog="Example: gazetune fetch osie --output data/osie")
def fetch(
    name: Annotated[str, typer.Argument(help="The data set: osie or salicon.")],
    output: Annotated[Path | None, typer.Option(help="Where to put it (default: data/NAME).")] = None,
    debug: Debug = False,
) -> None:
    """Download a data set from its public source, each file checked, or say what must be got by hand."""
    from gazetune.data.fetch import fetch_dataset
    from gazetune.data.fetch_salicon import fetch_salicon

    folder = output or Path("data") / name
    typer.echo(fetch_salicon(folder) if name == "salicon" else fetch_dataset(name, folder))


@app.command(name="ls", epilog="Example: gazetune ls")
def list_all(debug: Debug = False) -> None:
    """What there is: experiments, data sets, metrics, attention methods, targets, and runs in ./runs."""
    from gazetune.commands import inventory

    for what, names in inventory().items():
        typer.echo(f"{what}: {', '.join(names) or 'none'}")


def _folder(experiment: str, output: Path | None, seeds: str | None) -> Path:
    """Where a run will lie, as far as can be told without loading anything: enough to see whether it is busy."""
    if output is not None:
        return output
    built_in = Path(__file__).parent / "experiments" / f"{experiment}.yaml"
    path = built_in if built_in.is_file() else Path(experiment).expanduser()
    if not path.is_file():
        return path
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        chosen = [int(s) for s in seeds.split(",")] if seeds else settings.get("seeds", [42])
        return default_folder(settings["name"], chosen)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return path  # what is wrong with it will be said when it is read in earnest


def _show(
    summary: dict[str, Any] | None, as_json: bool, tables: Callable[[dict[str, Any], Console], None] | None = None
) -> None:
    if summary is None:
        return
    if as_json:
        typer.echo(json.dumps({k: v for k, v in summary.items() if not k.startswith("_")}, indent=1))
        return
    from gazetune.report.terminal import print_summary

    console = Console()
    (tables or print_summary)(summary, console if console.is_terminal else Console(width=120))


def main() -> None:
    """Run the command line; every error ends in one message and the exit code of its kind."""
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        raise Interrupted(STOPPED)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        app()
    except Interrupted as interruption:
        _say(str(interruption))
        sys.exit(130)
    except Exception as error:
        if stopped:  # a library on the way turned the interruption into an error of its own
            _say(STOPPED)
            sys.exit(130)
        sys.exit(_failed(error))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failed(error: Exception) -> int:
    """Say what went wrong; the exit code. What is no message for a user is raised again: a fault of gazetune."""
    if isinstance(error, GazetuneError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.errno in FULL:
        _say(f"{error.strerror}: {error.filename or 'a file'}. What is saved is whole; make room, then --resume.")
        return 1
    raise error


def _say(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    print(f"gazetune: {message}", file=sys.stderr)

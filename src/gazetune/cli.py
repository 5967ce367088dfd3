"""The command line."""

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gazetune import processes
from gazetune.documents import read_yaml
from gazetune.errors import GazetuneError, InputError, Interrupted
from gazetune.folder import default_folder, refuse_if_busy
from gazetune.progress import visible

STOPPED = "Stopped. Every finished stage is saved; go on with --resume."
STOPPED_TOO = (
    "Stopped, by hand or because another process of this run ended (torchrun says which). Every finished stage is "
    "saved; go on with --resume."
)
ALONE = ("app", "export", "fetch", "reproduce", "ls")  # what several processes cannot share
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
    str | None,
    typer.Option(
        help="Controls to add, with commas: shuffled, centre, uniform, distillation (lambda 0).", metavar="NAMES"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str | None, typer.Option(help="Of training: auto, fp32 or bf16.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out photos and records that cannot be used; list them.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what is missing; do nothing.")]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="`paper`: no validation images of their own: train on all training images, and stop early by the loss on "
        "a tenth of the test images (docs/reproduce.md)."
    ),
]
Measure = Annotated[bool, typer.Option("--measure/--no-measure", help="With --dry-run: time a few training steps.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, e.g. training.lr=2e-5.", metavar="KEY=VALUE")
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="Compare groups of observers or conditions of images by this column.", metavar="COLUMN"),
]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Run code of your own: FILE.py:NAME as a metric or model."),
]
Palette = Annotated[
    str | None, typer.Option(help="Of the figures: colour_blind (safe), or paper (red, green and grey as there).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print summary.json instead of tables.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command(epilog="Example: gazetune demo")
def demo(
    output: Annotated[Path, typer.Option(help="The run directory.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option("--resume", help="Goes without saying: the demo goes on by itself.")] = True,
    palette: Palette = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The whole path on a generated world with a small ViT that ships along: offline, about two minutes."""
    refuse_if_busy(output)
    from gazetune.commands import run_experiment

    _show(run_experiment("demo", output=output, resume=True, palette=palette), as_json)


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
    protocol: Protocol = None,
    measure: Measure = True,
    palette: Palette = None,
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
    protocol: Protocol = None,
    measure: Measure = True,
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
    attention: Annotated[
        str | None, typer.Option(help="Also by these attention methods, e.g. cls_attention,gradcam.", metavar="METHODS")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Of deletion and insertion (16); 0: leave them out.")] = None,
    precision: Annotated[str | None, typer.Option(help="Of deletion and insertion: auto, fp32 or bf16.")] = None,
    palette: Palette = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score the models of a run again, or on another data set, of which every image is a test image."""
    refuse_if_busy(run)
    from gazetune.commands import score_run

    how = (device, skip_bad, allow_code, by, False, attention, steps, precision, palette)
    _show(score_run(run, data or [], *how), as_json)


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
    palette: Palette = None,
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
    palette: Palette = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animacy, object size, sparsity and contrasts of your own, on images with annotated objects."""
    refuse_if_busy(run)
    from gazetune.commands import score_run
    from gazetune.report.terminal import print_biases

    found = score_run(run, data or [], device, skip_bad, allow_code, objects=True, palette=palette)
    _show(found, as_json, print_biases)


PARITY = """Examples:

gazetune parity runs/osie-s42 --data imagenet=ILSVRC2012_val --classes meta.mat

gazetune parity runs/osie-s42 --data imagenet=ILSVRC2012_val --corruptions imagenet-c --subset published_5000

gazetune parity --model before=WEIGHTS --model after=WEIGHTS --data folder:mine=photos-by-class
"""


@app.command(epilog=PARITY)
def parity(
    run: Annotated[Path | None, typer.Argument(help="A run directory with models, unless --model names them.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Labelled images: imagenet, imagenet_c, objectnet, folder, labels (a CSV) or hub; repeat.",
            metavar="KIND[:NAME]=PATH",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Without a run: a model, the first is the reference; repeat.", metavar="[NAME=]WEIGHTS"),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Without a run: the run directory (runs/parity).")] = None,
    classes: Annotated[
        str | None, typer.Option(help="The class list: meta.mat, or a CSV with index, wnid, ilsvrc2012_id, label.")
    ] = None,
    answers: Annotated[str | None, typer.Option(help="ImageNet's ILSVRC2012_validation_ground_truth.txt.")] = None,
    mapping: Annotated[str | None, typer.Option(help="The folder with ObjectNet's mapping files.")] = None,
    class_map: Annotated[
        str | None, typer.Option(help="A CSV for a model whose classes have other names: class, model_class or index.")
    ] = None,
    corruptions: Annotated[
        str | None, typer.Option(help="Made in memory: imagenet-c (15), all (19), or names with commas.")
    ] = None,
    severity: Annotated[str, typer.Option(help="1 to 5, several with commas.")] = "5",
    corrupt_at: Annotated[str, typer.Option(help="image (the whole, as the paper) or crop (as ImageNet-C).")] = "image",
    subset: Annotated[str | None, typer.Option(help="published_5000: the fixed 5,000 images of ImageNet.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many images, evenly over the classes.")] = None,
    preprocessing: Annotated[
        str, typer.Option(help="paper (256, middle 224) or squashed (to the input size, as for attention maps).")
    ] = "paper",
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions.")] = 0,
    margin: Annotated[float, typer.Option(help="Difference that counts as none (TOST), percentage points.")] = 1.0,
    folds: Annotated[int, typer.Option(min=2, help="Of the linear probe of models without a head.")] = 5,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time.")] = None,
    resume: Resume = False,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
    palette: Palette = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Classify labelled images with every model and compare each with the reference, image by image."""
    refuse_if_busy(run or output or Path("runs/parity"))
    from gazetune.commands import classify_images
    from gazetune.loading import chosen_corruptions, severities_of
    from gazetune.report.terminal import print_classification

    named = {"classes": classes, "answers": answers, "mapping": mapping, "class_map": class_map, "subset": subset}
    options = {
        **named,
        "limit": limit,
        "corruptions": chosen_corruptions(corruptions),
        "severities": severities_of(severity),
        "corrupt_at": corrupt_at,
        "preprocessing": preprocessing,
        "seed": seed,
        "margin": margin,
        "folds": folds,
    }
    how = (output, resume, batch_size, device, skip_bad, dry_run, allow_code, palette)
    summary = classify_images(run, data or [], model or [], options, *how)
    _show(summary, as_json, print_classification)


@app.command(name="app", epilog="Example: gazetune app runs/osie-s42")
def live_page(
    run: Annotated[Path, typer.Argument(help="A run directory with models.")],
    host: Annotated[str, typer.Option(help="Another address opens the page to others: no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 7860,
    device: Device = "auto",
    allow_code: AllowCode = False,
    debug: Debug = False,
) -> None:
    """Drop in a photo: where every model of a run looks and what it says, side by side; a page on this computer."""
    from gazetune.app.server import serve

    serve(run, host, port, device, allow_code)


@app.command(epilog="Example: gazetune export runs/osie-s42 --model tuned --to tuned-vit --onnx")
def export(
    run: Annotated[Path, typer.Argument(help="A run directory with trained models.")],
    model: Annotated[str, typer.Option(help="Which of its models: a name, or with the seed, e.g. tuned-s42.")],
    to: Annotated[str, typer.Option(help="A folder, or hub:OWNER/NAME to upload it.", metavar="DIR|hub:OWNER/NAME")],
    form: Annotated[
        str,
        typer.Option("--format", help="huggingface; timm or state_dict: the keys of the file the model began from."),
    ] = "huggingface",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also model.onnx with answers and attention map, checked against PyTorch.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a tuned model with its model card: a Hugging Face folder, ONNX, or the keys you came with."""
    refuse_if_busy(run)
    from gazetune.commands import export_run

    typer.echo(export_run(run, model, to, form, onnx))


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


@app.command(epilog="Example: gazetune reproduce runs/paper_vit-s42 --check tolerances.yaml")
def reproduce(
    run: Annotated[Path, typer.Argument(help="A finished run.")],
    check: Annotated[
        Path | None, typer.Option(help="Exit with 1 where a value misses its tolerance: YAML, id: {value, abs or rel}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of a table.")] = False,
    debug: Debug = False,
) -> None:
    """Put every number of the paper beside the run's own, with a verdict by a written rule."""
    refuse_if_busy(run)
    from gazetune.commands import reproduce_run
    from gazetune.report.reproduce import print_reproduction

    subject, table, missed = reproduce_run(run, check)
    if as_json:
        typer.echo(table.to_json(orient="records", indent=1, force_ascii=False))
    else:
        console = Console(markup=False)
        print_reproduction(subject, table, console if console.is_terminal else Console(width=160, markup=False))
    if missed:
        raise GazetuneError("Values outside their tolerance:\n" + "\n".join(f"- {line}" for line in missed))


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
        settings = read_yaml(path)
        chosen = [int(s) for s in seeds.split(",")] if seeds else settings.get("seeds", [42])
        return default_folder(settings["name"], chosen)
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return path  # what is wrong with it will be said when it is read in earnest


def _show(
    summary: dict[str, Any] | None, as_json: bool, tables: Callable[[dict[str, Any], Console], None] | None = None
) -> None:
    if summary is None or not processes.is_main():
        return
    if as_json:
        typer.echo(json.dumps({k: v for k, v in summary.items() if not k.startswith("_")}, indent=1))
        return
    from gazetune.report.terminal import print_summary

    console = Console(markup=False)
    (tables or print_summary)(summary, console if console.is_terminal else Console(width=120, markup=False))


def main() -> None:
    """Run the command line; every error ends in one message and the exit code of its kind."""
    if not processes.is_main() and ((sys.argv[1:2] and sys.argv[1] in ALONE) or "--dry-run" in sys.argv):
        return
    several, stopped = processes.launched() > 1, list[int]()
    if several:  # else each process warns of what is meant: a look for parameters that take no part in a step
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        raise Interrupted(STOPPED_TOO if several else STOPPED)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        app()
    except SystemExit as ended:
        if not ended.code:
            processes.leave()
        raise
    except Interrupted as interruption:
        _say(str(interruption))
        sys.exit(130)
    except Exception as error:
        if stopped:  # a library on the way turned the interruption into an error of its own
            _say(STOPPED_TOO if several else STOPPED)
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
    if processes.is_loss(error):
        _say(processes.LOST)
        return 1
    if isinstance(error, OSError) and error.errno in FULL:
        _say(f"{error.strerror}: {error.filename or 'a file'}. What is saved is whole; make room, then --resume.")
        return 1
    raise error


def _say(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    if processes.is_first_to_say():
        print(visible(f"gazetune: {message}"), file=sys.stderr, flush=True)

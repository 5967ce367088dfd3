"""What each term that holds on to the start buys: alignment against accuracy, as a table and a figure.

    python scripts/pareto.py RUN [RUN ...] --on NAME=LABELS [--on digits] --output FOLDER

RUN: runs that share a reference (docs/training.md, Preservation, has the experiments). LABELS: a folder with one
sub-folder a class, or a CSV of file and label. `digits`: 500 of scikit-learn's 8x8 digits, far away from any photo;
--write-digits FOLDER writes 500 others, for `distil_on`. A model is judged by linear heads that were fitted once on the
frozen reference (5 folds; each image by the head that has not seen it). Where the models of a run have a head of
their own and its test images labels, the run's predictions are taken as well. Writes pareto.csv, pareto_pairs.csv
(against the paper's objective with the same lambda) and figures/pareto; what a model answered is kept in FOLDER/answers
and not asked again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from gazetune.backbones import Backbone, load_backbone, weights_hash
from gazetune.data.images import read_rgb, resized
from gazetune.data.photos import labels_for_tuning
from gazetune.errors import InputError
from gazetune.experiment import Entry, Experiment
from gazetune.figures.pareto import START, write_pareto
from gazetune.loading import load_experiment
from gazetune.provenance import fingerprint
from gazetune.run import CONFIG, Run
from gazetune.statistics.paired import paired_test
from gazetune.tables.rows import keyed
from gazetune.training.accuracy import asked, heads_on, representation_of, right
from gazetune.training.precision import autocast
from gazetune.training.settings import Precision, Training

DIGITS, N_DIGITS = "digits", 500  # tested; as many others may be distilled on
BATCH = 16
PLAIN = "the paper's objective"
Labels = Int[np.ndarray, " image"]
Right = Bool[np.ndarray, " image"]


def digits(part: int) -> tuple[UInt8[np.ndarray, "digit 8 8"], Labels]:
    """500 of scikit-learn's 1,797 digits, grey levels 0..255: part 0 is tested, part 1 has others."""
    from sklearn.datasets import load_digits

    found = load_digits()
    index = np.random.default_rng(0).permutation(len(found.target))[part * N_DIGITS : (part + 1) * N_DIGITS]
    return np.round(found.images[index] * 255 / 16).astype(np.uint8), found.target[index]


def write_digits(folder: Path) -> None:
    """The digits that are not tested as 8x8 PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, image in enumerate(digits(1)[0]):
        Image.fromarray(image).save(folder / f"{place:04d}.png")


def labelled(source: str, size: tuple[int, int]) -> tuple[UInt8[np.ndarray, "image 3 height width"], Labels]:
    """The images of a set at the model's input size (squashed, bicubic), and the number of each one's class."""
    if source == DIGITS:
        images, labels = digits(0)
        pixels = [resized(np.repeat(image[:, :, None], 3, axis=2), size) for image in images]
    else:
        found = labels_for_tuning(source)
        pixels, labels = [read_rgb(path, size) for path in found.paths], found.answers[:, 0]
    return np.stack(pixels).transpose(0, 3, 1, 2), labels


class Asked:
    """Which images of a set each model is right about, by heads on the frozen reference; kept in a folder."""

    def __init__(self, name: str, source: str, reference: str, precision: Precision, folder: Path) -> None:
        self.name, self.folder, self.precision = name, folder, precision
        backbone = load_backbone(reference)
        self.pixels, self.labels = labelled(source, backbone.image_size)
        self.about = fingerprint([name, weights_hash(reference), precision, self.labels.tolist()])[:12]
        features = self._features(backbone, weights_hash(reference))
        self.heads = heads_on(features, self.labels)

    def _features(self, backbone: Backbone, weights: str) -> torch.Tensor:
        kept = self.folder / f"{self.name}-{self.about}-{weights[:12]}.npy"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            rows = np.arange(len(self.labels))
            with autocast(torch.device("cpu"), self.precision):
                found = asked(backbone, self.pixels, rows, representation_of, BATCH)
            np.save(kept, found.numpy())
        return torch.from_numpy(np.load(kept))

    def right(self, weights: str) -> Right:
        """Which images the model with these weights is right about."""
        features = self._features(load_backbone(weights), weights_hash(weights))
        scores = torch.einsum("bcd,bd->bc", self.heads.weight[self.heads.fold], features)
        return right(scores + self.heads.bias[self.heads.fold], self.labels[:, None])


def term_of(settings: Training) -> tuple[str, str]:
    """What a training holds on to beyond the [CLS] states of the fixation images, and with what weights."""
    terms = {"logits": settings.lambda_logits, "tokens": settings.lambda_tokens, "L2": settings.lambda_l2}
    used = {name: weight for name, weight in terms.items() if weight}
    names = list(used)
    if settings.distil_on is not None:
        folder = Path(settings.distil_on)
        names.append(f"other photos ({folder.parent.name if folder.name == 'images' else folder.name})")
    return " + ".join(names) or PLAIN, ", ".join(f"{weight:g}" for weight in used.values())


def described(experiment: Experiment, entry: Entry) -> dict[str, Any]:
    """Label, term, weight and lambda of a model."""
    label = experiment.labels()[entry.key]
    if entry.seed is None:
        return {"label": label, "term": START, "weight": "", "lambda": np.nan}
    settings = experiment.training_of(entry.model)
    term, weight = term_of(settings)
    return {"label": label, "term": term, "weight": weight, "lambda": settings.lambda_attention}


def alignment(images: pd.DataFrame, key: str) -> dict[str, float | int]:
    """Mean CC and sAUC over the test images, with the t interval of the mean CC."""
    mine = keyed(images).query("key == @key")
    cc = paired_test(mine["cc"], np.zeros(len(mine)))
    return {
        "images": cc.n,
        "cc": cc.mean_first,
        "cc_low": cc.ci_low,
        "cc_high": cc.ci_high,
        "sauc": mine["sauc"].mean(),
    }


def change(model: Right, reference: Right) -> dict[str, float | int]:
    """Accuracy in per cent, and how it differs from the reference's in points, paired by image (t interval)."""
    test = paired_test(model, reference)
    low, high = (test.ci_low, test.ci_high) if test.t == test.t else (np.nan, np.nan)
    found = {"n": test.n, "accuracy": test.mean_first, "difference": test.difference, "low": low, "high": high}
    return {name: value if name == "n" else 100 * value for name, value in found.items()}


def own_predictions(run: Run, experiment: Experiment) -> dict[str, Right]:
    """Which of its own test images each model of a run is right about by its own head; empty without any."""
    if not run.file("predictions.csv").is_file():
        return {}
    table = keyed(run.table("predictions")).query("dataset == @experiment.data.kind")
    return {str(key): part["correct"].to_numpy(bool) for key, part in table.groupby("key")}


def rows_of(run: Run, sets: Sequence[Asked]) -> list[dict[str, Any]]:
    """One row a model and set of labelled images."""
    experiment, images, found = load_experiment(str(run.file(CONFIG))), run.images, []
    entries = experiment.entries()
    start = next(e for e in entries if e.name == experiment.reference)
    answers = {s.name: {e.key: s.right(weights_of(run, e)) for e in entries} for s in sets}
    own = own_predictions(run, experiment)
    for name, right_of in {**answers, **({f"{experiment.name}: its test images": own} if own else {})}.items():
        for entry in entries:
            about = {"run": experiment.name, "model": entry.key, **described(experiment, entry), "set": name}
            found.append(about | alignment(images, entry.key) | change(right_of[entry.key], right_of[start.key]))
    return found


def pairs(runs: Sequence[Run], sets: Sequence[Asked]) -> pd.DataFrame:
    """Every training that holds on to more against the paper's objective with the same lambda, paired by image."""
    models = {}  # key -> term, lambda, scores, answers
    for run in runs:
        experiment, images = load_experiment(str(run.file(CONFIG))), keyed(run.images)
        for entry in (e for e in experiment.entries() if e.seed is not None):
            about = described(experiment, entry)
            scores = images[images["key"] == entry.key].set_index("image")
            right_of = {s.name: s.right(weights_of(run, entry)).astype(float) for s in sets}
            models[entry.key] = (about["term"], about["lambda"], scores, right_of)
    rows = []
    for first, (term, weight, scores, right_of) in models.items():
        plain = [k for k, (other, w, *_) in models.items() if other == PLAIN and w == weight]
        for second in plain if term != PLAIN else []:
            values = [(m, scores[m], models[second][2].loc[scores.index, m]) for m in ("cc", "sauc")]
            values += [(name, 100 * mine, 100 * models[second][3][name]) for name, mine in right_of.items()]
            for of, a, b in values:
                t = paired_test(a, b)
                found = {"n": t.n, "difference": t.difference, "low": t.ci_low, "high": t.ci_high, "p": t.p}
                rows.append({"first": first, "second": second, "term": term, "lambda": weight, "of": of, **found})
    return pd.DataFrame(rows)


def weights_of(run: Run, entry: Entry) -> str:
    """The weights that a model ended with."""
    return entry.model.start if entry.seed is None else str(run.checkpoint(entry.key))


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--on", action="append", default=[], metavar="NAME=LABELS", help="or: digits")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--write-digits", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.write_digits is not None:
        write_digits(given.write_digits)
        return
    if not given.runs or given.output is None:
        parser.error("RUN and --output are needed")
    first = load_experiment(str(given.runs[0] / CONFIG))
    reference = first.models[first.reference].start
    named = [text.partition("=") for text in given.on]
    folder = given.output / "answers"
    sets = [Asked(name, path or name, reference, given.precision, folder) for name, _, path in named]
    table = pd.DataFrame([row for run in given.runs for row in rows_of(Run(run), sets)])
    table = table.drop_duplicates(["model", "set"] if len(sets) else ["run", "model"])  # the reference of every run
    output = Run(given.output)
    output.write_table("pareto", table)
    write_pareto(output, table)
    compared = pairs([Run(run) for run in given.runs], sets)
    output.write_table("pareto_pairs", compared)
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.max_rows", 200):
        print(table.drop(columns=["run", "label"]).round(3).to_string(index=False))
        print(compared.round(3).to_string(index=False))


if __name__ == "__main__":
    try:
        main()
    except InputError as reason:
        print(f"gazetune: {reason}", file=sys.stderr)
        sys.exit(2)

"""Where a number of the paper stands in a run: its row, its value, its interval, and what makes it another number."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from scipy import stats

from gazetune.biases.contrast import SCALE
from gazetune.biases.object_size import LARGE_ABOVE_PX2, SMALL_BELOW_PX2
from gazetune.data.coco import AMBIGUOUS, ANIMATE
from gazetune.documents import read_json
from gazetune.metrics.information import EPSILON
from gazetune.parity.corruptions import IMAGENET_C
from gazetune.report.published import Z95, Interval, Published, d_error
from gazetune.report.subject import LETTERS, MAPS, START, Subject
from gazetune.report.words import turned
from gazetune.statistics.bayes import TIERS

WHY = {  # a table that a run may lack -> why
    "bias_tests": "no annotated objects in this data set, or nothing to contrast",
    "bias_means": "no annotated objects in this data set, or nothing to contrast",
    "parity": "no predictions on this data set",
    "classes": "no predictions on this data set",
    "correlations": "no consistency of observers (fewer than two an image)",
    "quartiles": "no consistency of observers (fewer than two an image)",
    "improved": "no gains, or no categories of objects in this data set",
}
TIER = {f"jeffreys_{word.replace(' ', '_')}": start for start, word in TIERS}
CONSTANTS: dict[str, float] = {
    "kl_epsilon": EPSILON, "density_scale": SCALE, "small_below_px2": SMALL_BELOW_PX2,
    "large_above_px2": LARGE_ABOVE_PX2, "animate_categories": len(ANIMATE), "ambiguous_categories": len(AMBIGUOUS),
    "corruptions": len(IMAGENET_C), **TIER,
}  # fmt: skip


@dataclass(frozen=True)
class Ours:
    """A number of the run that belongs to one of the paper's, in the paper's unit.

    interval: 95 %, None where there is none. row: where it stands. other: why it is not the same number as the paper's
    (another data set, other weights, ...); empty where it is.
    """

    value: float
    interval: Interval | None
    n: int | None
    dataset: str
    row: str
    other: tuple[str, ...] = ()


def find(subject: Subject, wanted: Published) -> Ours | str:
    """The run's own number in place of the paper's; or, in words, why there is none."""
    if wanted.arm != "people" and wanted.arm != subject.arm:
        method = subject.method(subject.settings["reference"])
        return f"of the paper's {wanted.arm.upper()}; the maps of this run are {method}"
    if wanted.table in ("config", "constants"):
        return _setting(subject, wanted)
    where, lacking = {}, []
    for column, value in wanted.where.items():
        where[column] = (subject.key(value) or "") if value in LETTERS else value
        lacking += [LETTERS[value]] if not where[column] and value in LETTERS else []
    if lacking:
        return f"the run has no {lacking[0]} model" + (" of shuffled maps" if lacking[0] == "control" else "")
    for dataset in _datasets(subject, wanted):
        row = next((r for r in _rows(subject, wanted, dataset) if _fits(r, where)), None)
        if row is not None:
            return _ours(subject, wanted, row, dataset)
    if wanted.dataset and not _datasets(subject, wanted):
        return f"the run has no data '{wanted.dataset}'"
    return WHY.get(wanted.table, "not in the run's tables")


def _datasets(subject: Subject, wanted: Published) -> list[str]:
    """The run's data sets that may stand for the paper's: it itself by name or reader, else the run's own."""
    kinds = {subject.kind: subject.kind} if subject.kind else {}
    kinds |= {name: _source(name, settings) for name, settings in _sets(subject).items()}
    scored = [*subject.run.summary["datasets"], *(row["dataset"] for row in subject.run.summary.get("parity", []))]
    kinds |= {name: name for name in scored if name not in kinds}
    same = [name for name, kind in kinds.items() if wanted.dataset in (name, kind, None)]
    stands_in = wanted.table not in ("parity", "classes") and wanted.judge != "count"
    return same or ([subject.kind] if stands_in and subject.kind else [])


def _sets(subject: Subject) -> Mapping[str, Mapping[str, Any]]:
    return subject.settings.get("parity") or {}


def _source(name: str, settings: Mapping[str, Any]) -> str:
    """The benchmark that a set of labelled images is: ImageNet with corruptions is ImageNet-C."""
    kind = str(settings.get("kind", name))
    return f"{kind}_c" if settings.get("corruptions") and not kind.endswith("_c") else kind


def _rows(subject: Subject, wanted: Published, dataset: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a table of the run that speak of a data set; pairs that were tested the other way round turned."""
    summary = subject.run.summary
    if wanted.table == "training":
        for key, state in summary["training"].items():
            yield {"model": key, **state, "share": state["learnable"] / state["parameters"]}
    elif wanted.table == "datasets":
        yield summary["datasets"].get(dataset, {}).get("images", {})
    elif wanted.table == "classes":
        if subject.run.file("parity_classes.csv").is_file():
            table = subject.run.table("parity_classes")
            yield {wanted.column: table.loc[table["dataset"] == dataset, "label"].nunique() or None}
    elif wanted.table == "architecture":
        yield _architecture(subject)
    else:
        for row in (r for r in summary.get(wanted.table, []) if r["dataset"] == dataset):
            yield row
            if wanted.table in ("tests", "bias_tests") and row["first"] != row["second"]:
                yield turned(row)


def _architecture(subject: Subject) -> Mapping[str, Any]:
    """The configuration of the first model that was tuned, as its checkpoint says it."""
    for key in subject.roles:
        path = subject.run.file(f"checkpoints/{key}/best/config.json")
        if path.is_file():
            return read_json(path)
    return {}


def _fits(row: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    return bool(row) and all(str(row.get(column)) == value for column, value in where.items())


def _ours(subject: Subject, wanted: Published, row: Mapping[str, Any], dataset: str) -> Ours | str:
    value = row.get(wanted.column)
    if value is None:
        return str(row.get("reason") or f"{wanted.column} could not be computed")
    n = int(row["n"]) if row.get("n") is not None and wanted.judge != "count" else None
    found = Ours(float(value) * wanted.scale, None, n, dataset, f"{wanted.table}: {_named(row, wanted)}")
    interval = _interval(wanted.column, row)
    if interval is not None:
        found = replace(found, interval=(interval[0] * wanted.scale, interval[1] * wanted.scale))
    return replace(found, other=tuple(_other(subject, wanted, dataset)))


def _named(row: Mapping[str, Any], wanted: Published) -> str:
    return ", ".join(str(row[c]) for c in wanted.where if row.get(c) not in (None, "")) + f", {wanted.column}"


def _interval(column: str, row: Mapping[str, Any]) -> Interval | None:
    """The 95 % interval of a value, from its row."""
    ends = {"accuracy_first": "accuracy_{}_first", "accuracy_second": "accuracy_{}_second"}.get(column, "ci_{}")
    if column in ("t", "d"):
        d, n = row.get("d"), int(row["n"])
        if d is None or isinstance(d, str) or n < 2:
            return None
        scale = math.sqrt(n) if column == "t" else 1.0
        return (d - Z95 * d_error(d, n)) * scale, (d + Z95 * d_error(d, n)) * scale
    if column == "mean" and row.get("sem") is not None and row["n"] > 1:
        half = float(stats.t.ppf(0.975, row["n"] - 1)) * row["sem"]
        return row["mean"] - half, row["mean"] + half
    if column in ("difference", "r", "share", "accuracy_first", "accuracy_second"):
        low, high = (row.get(ends.format(end)) for end in ("low", "high"))
        return None if low is None or high is None else (float(low), float(high))
    return None


def _other(subject: Subject, wanted: Published, dataset: str) -> Iterator[str]:
    """What makes the run's number another one than the paper's."""
    settings = subject.settings
    kind = subject.kind
    if wanted.dataset and wanted.dataset not in (dataset, _source(dataset, _sets(subject).get(dataset, {}))):
        yield f"data {dataset}, not {wanted.dataset}"
    if wanted.judge == "count":
        yield from _other_images(subject, wanted, dataset)
    if wanted.arm == "people" and wanted.judge == "level" and settings.get("limit"):
        yield f"at most {settings['limit']} images of each part"
    if wanted.arm == "people" or wanted.needs == "weights":
        if wanted.needs == "weights" and not _same_start(subject, wanted):
            yield f"weights {PurePath(subject.start).name}, not {START[wanted.arm]}"
        return
    if not _same_start(subject, wanted):
        yield f"weights {PurePath(subject.start).name}, not {START[wanted.arm]}"
    keys = [key for letter in wanted.where.values() if letter in LETTERS and (key := subject.key(letter))]
    for method in dict.fromkeys(subject.method(key) for key in keys):
        if method != MAPS[wanted.arm]:
            yield f"maps by {method}, not {MAPS[wanted.arm]}"
    if {"B", "C"} & set(wanted.where.values()) and kind != "salicon":
        yield f"tuned on {kind}, not salicon"
    if settings.get("limit"):
        yield f"at most {settings['limit']} images of each part"


def _other_images(subject: Subject, wanted: Published, dataset: str) -> Iterator[str]:
    """A count of what is in the data needs all of them."""
    tested = subject.run.summary["datasets"].get(dataset, {}).get("images", {}).get("test")
    if wanted.test_images is not None and tested != wanted.test_images:
        yield f"{tested:,} test images, not {wanted.test_images:,}"
    elif subject.settings.get("limit") and wanted.needs == "data":
        yield f"at most {subject.settings['limit']} images of each part"


def _same_start(subject: Subject, wanted: Published) -> bool:
    """Whether the reference starts from the paper's weights, by name: the hub's, or a folder called as the model."""
    start = subject.start
    return start == START[wanted.arm] or PurePath(start).name == START[wanted.arm].rpartition("/")[2]


def _setting(subject: Subject, wanted: Published) -> Ours | str:
    """A setting of the run, or a number that is fixed in the code. A list of one stands for its only value."""
    tuned = subject.key("B")
    if wanted.column.startswith("training.") and tuned is None:
        return "the run has no tuned model"
    own = subject.model(tuned).get("training", {}) if tuned else {}  # what is the tuned model's own comes first
    settings = {**subject.settings, "training": {**subject.settings.get("training", {}), **own}}
    found: Any = CONSTANTS if wanted.table == "constants" else settings
    for step in [wanted.column] if wanted.table == "constants" else wanted.column.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, list | tuple):
        found = found[0] if len(found) == 1 else None
    if found is None:
        return f"the run has no setting {wanted.column}"
    return Ours(float(found), None, None, "", f"{wanted.table}: {wanted.column}")

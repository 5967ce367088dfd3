"""A data set made ready in the run directory: fixations on the map grid, photos as uint8, and who is left out why."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from gazetune.data.decoded import Pixels, decode, open_decoded
from gazetune.data.selection import every_second, only
from gazetune.data.splits import NAMES, Split, SplitName, members, split_of
from gazetune.data.stimuli import Stimuli
from gazetune.maps import Human, Points, grid_points
from gazetune.progress import say
from gazetune.run import Run

COLUMNS = ("row", "column", "weight", "offsets", "sigma_px")
NO_FIXATION = "no fixation"


@dataclass(frozen=True)
class Prepared:
    """The images of a run, in one order for table, points and pixels.

    table: image, split, width, height, fixations, outside, label, reason (why it is left out, empty if it is not).
    predictors, predicted: the fixations of every second observer of an image, and those of the others. left_out: the
    records of the data set's files that were not used, by reason.
    """

    name: str
    table: pd.DataFrame
    points: Points
    predictors: Points
    predicted: Points
    classes: tuple[str, ...]
    citation: str
    folder: Path
    left_out: dict[str, list[str]]

    def rows(self, split: SplitName) -> Int[np.ndarray, " kept"]:
        """Positions of the images of a split that can be used: readable, and with fixations unless they are tested."""
        usable = self.table["reason"].isna() | ((self.table["reason"] == NO_FIXATION) & (split == "test"))
        return np.flatnonzero(usable & (self.table["split"] == split))

    def pixels(self, size: tuple[int, int]) -> Pixels:
        """The decoded photos at a model's input size."""
        return open_decoded(self.folder / decoded_name(self.name, size))


def decoded_name(dataset: str, size: tuple[int, int]) -> str:
    """Where the decoded photos of a data set lie; the folder may be deleted, it is made anew when needed."""
    return f"cache/{dataset}-{size[0]}x{size[1]}.npy"


def unreadable_name(dataset: str, size: tuple[int, int]) -> str:
    """Where it is written which photos of a data set could not be read at this size, and why."""
    return f"stimuli/{dataset}-{size[0]}x{size[1]}.json"


def chosen(stimuli: Stimuli, split: Split, limit: int | None) -> tuple[Stimuli, tuple[SplitName, ...]]:
    """The images that a split uses, at most `limit` of each part, with the part each belongs to."""
    parts = split_of(stimuli, split)
    index = np.sort(np.concatenate([members(parts, name, limit) for name in NAMES]))
    return stimuli.take(index), tuple(parts[i] for i in index)


def prepare_points(
    run: Run, name: str, stimuli: Stimuli, parts: tuple[SplitName, ...], human: Human, size: int
) -> list[str]:
    """Write `stimuli/NAME.safetensors`, the fixations on the map grid, and return its name."""
    second = every_second(stimuli)
    sets = {
        "points": grid_points(stimuli, human, size),
        "predictors": grid_points(only(stimuli, second), human, size),
        "predicted": grid_points(only(stimuli, ~second), human, size),
    }
    points = sets["points"]
    placed = (stimuli.width > 1) | (stimuli.height > 1)  # else it is no image, which is said when it is read
    empty = int(((np.diff(points.offsets) == 0) & placed).sum())
    if empty:
        say(f"warning: {empty} of {len(stimuli)} images of '{name}' have no fixation: not trained on, NaN when scored")
    tensors = {
        f"{which}/{column}": torch.from_numpy(np.ascontiguousarray(getattr(of, column)))
        for which, of in sets.items()
        for column in COLUMNS
    }
    table = {
        "image": list(stimuli.ids),
        "split": list(parts),
        "width": stimuli.width.tolist(),
        "height": stimuli.height.tolist(),
        "fixations": np.diff(points.offsets).tolist(),
        "outside": (np.zeros(len(stimuli), int) if stimuli.outside is None else stimuli.outside).tolist(),
        "label": [None] * len(stimuli) if stimuli.labels is None else stimuli.labels.tolist(),
    }
    about = {"size": size, "classes": list(stimuli.classes), "citation": stimuli.citation, "table": table}
    about["left_out"] = {reason: list(records) for reason, records in stimuli.left_out.items()}
    return [run.write_tensors(f"stimuli/{name}.safetensors", tensors, **about)]


def prepare_photos(run: Run, name: str, stimuli: Stimuli, size: tuple[int, int], skip_bad: bool) -> list[str]:
    """Decode all photos at one size into the run's cache, and note which could not be read.

    Raises InputError naming the first unreadable photo, unless `skip_bad`.
    """
    target = decoded_name(name, size)
    unreadable = decode(stimuli, size, run.file(target), skip_bad)
    return [target, run.write_json(unreadable_name(name, size), unreadable)]


def load_prepared(run: Run, name: str, sizes: Collection[tuple[int, int]]) -> Prepared:
    """What the two functions above wrote, with the photos marked that are unreadable at one of these sizes."""
    file = f"stimuli/{name}.safetensors"
    columns, about = run.tensors(file), run.about(file)
    sets = {
        which: Points(**{c: columns[f"{which}/{c}"].numpy() for c in COLUMNS}, size=about["size"])
        for which in ("points", "predictors", "predicted")
    }
    table = pd.DataFrame(about["table"]).astype({"label": "Int64"})
    table["reason"] = pd.Series(pd.NA, index=table.index, dtype="str")
    table.loc[table["fixations"] == 0, "reason"] = NO_FIXATION
    unreadable: dict[str, str] = {}
    for size in sizes:
        unreadable |= run.json(unreadable_name(name, size))
    bad = table["image"].isin(list(unreadable))
    table.loc[bad, "reason"] = table.loc[bad, "image"].map(unreadable)
    return Prepared(
        name,
        table,
        **sets,
        classes=tuple(about["classes"]),
        citation=about["citation"],
        folder=run.path,
        left_out=about.get("left_out", {}),
    )

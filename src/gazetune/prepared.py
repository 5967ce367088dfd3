"""A data set made ready in the run directory: fixations on the map grid, photos, groups, and who is left out why."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gazetune.data.decoded import Pixels, decode, open_decoded
from gazetune.data.levels import Levels
from gazetune.data.splits import BOTH, NAMES, Part, Split, SplitName, is_in, members, split_of
from gazetune.data.stimuli import Stimuli
from gazetune.errors import InputError
from gazetune.maps import Human, Points, grid_points
from gazetune.progress import say
from gazetune.run import Json, Run
from gazetune.text_columns import coded, decoded, packed, unpacked

COLUMNS = ("row", "column", "weight", "observer", "offsets", "sigma_px")
NO_FIXATION = "no fixation"


@dataclass(frozen=True)
class Prepared:
    """The images of a run, in one order for table, points and pixels.

    table: image, split, width, height, fixations, outside, label, reason (why it is left out, empty if it is not).
    categories: image, category: one row for each category among an image's objects. observers: their names by number;
    empty: the number is the name. left_out: the records of the data set's files that were not used, by reason.
    """

    name: str
    table: pd.DataFrame
    points: Points
    classes: tuple[str, ...]
    citation: str
    folder: Path
    categories: pd.DataFrame
    left_out: dict[str, list[str]]
    observers: tuple[str, ...] = ()

    def observer_names(self, numbers: Int[np.ndarray, " observer"]) -> list[str]:
        """The names of these observers; the number itself where the data set has no names."""
        return [self.observers[i] if self.observers else str(i) for i in numbers]

    def rows(self, split: SplitName) -> Int[np.ndarray, " kept"]:
        """Positions of the images of a split that can be used: readable, and with fixations unless they are tested."""
        usable = self.table["reason"].isna() | ((self.table["reason"] == NO_FIXATION) & (split == "test"))
        return np.flatnonzero(usable & np.array([is_in(part, split) for part in self.table["split"]], dtype=bool))

    def pixels(self, size: tuple[int, int]) -> Pixels:
        """The decoded photos at a model's input size."""
        return open_decoded(self.folder / decoded_name(self.name, size))


def decoded_name(dataset: str, size: tuple[int, int]) -> str:
    """Where the decoded photos of a data set lie; the folder may be deleted, it is made anew when needed."""
    return f"cache/{dataset}-{size[0]}x{size[1]}.npy"


def unreadable_name(dataset: str, size: tuple[int, int]) -> str:
    """Where it is written which photos of a data set could not be read at this size, and why."""
    return f"stimuli/{dataset}-{size[0]}x{size[1]}.json"


def chosen(
    stimuli: Stimuli, split: Split, limit: int | None, limited: Collection[SplitName] = NAMES
) -> tuple[Stimuli, tuple[Part, ...]]:
    """The images that a split uses, at most `limit` of each part in `limited`, with the part each belongs to."""
    parts = split_of(stimuli, split)
    part_of: dict[int, Part] = {}
    for name in NAMES:
        for i in members(parts, name, limit if name in limited else None).tolist():
            part_of[i] = BOTH if i in part_of else name
    index = np.array(sorted(part_of), dtype=np.int64)
    return stimuli.take(index), tuple(part_of[i] for i in index.tolist())


def prepare_points(
    run: Run, name: str, stimuli: Stimuli, parts: tuple[Part, ...], human: Human, size: int
) -> list[str]:
    """Write `stimuli/NAME.safetensors`, the fixations on the map grid, and return its name."""
    points = grid_points(stimuli, human, size)
    placed = (stimuli.width > 1) | (stimuli.height > 1)  # else it is no image, which is said when it is read
    empty = int(((np.diff(points.offsets) == 0) & placed).sum())
    if empty:
        say(f"warning: {empty} of {len(stimuli)} images of '{name}' have no fixation: not trained on, NaN when scored")
    tensors = {column: torch.from_numpy(np.array(getattr(points, column))) for column in COLUMNS}
    splits = list(dict.fromkeys(parts))
    tensors |= {**packed("image", stimuli.ids), "split": coded(parts, splits)}
    numbers = {"width": stimuli.width, "height": stimuli.height, "outside": stimuli.outside, "label": stimuli.labels}
    tensors |= {c: torch.from_numpy(of.astype(np.int64)) for c, of in numbers.items() if of is not None}
    about: dict[str, Json] = {
        "size": size,
        "classes": list(stimuli.classes),
        "citation": stimuli.citation,
        "splits": splits,
        "observers": list(stimuli.observers),
        "left_out": {reason: list(records) for reason, records in stimuli.left_out.items()},
    }
    if stimuli.find_objects is not None:
        shown = [sorted({o.category for o in stimuli.find_objects(i)}) for i in stimuli.ids]
        about["categories"] = sorted(set(chain.from_iterable(shown)))
        tensors["category"] = coded(list(chain.from_iterable(shown)), about["categories"])
        tensors["n_categories"] = torch.tensor([len(names) for names in shown], dtype=torch.int32)
    file = f"stimuli/{name}.safetensors"
    return [file if _says_the_same(run, file, tensors, about) else run.write_tensors(file, tensors, **about)]


def _says_the_same(run: Run, file: str, tensors: Mapping[str, Tensor], about: Mapping[str, Json]) -> bool:
    """Whether the file is there as a version before 0.5 wrote it, and says the same.

    It stays then: a training, which is not done again for a newer version, depends on its bytes.
    """
    try:
        old, said = run.tensors(file), run.about(file)
    except InputError:
        return False
    given: dict[str, Json] = json.loads(json.dumps(about))
    return (
        "table" in said
        and all(torch.equal(old[column], tensors[column]) for column in COLUMNS)
        and all(said[key] == given[key] for key in ("size", "classes", "citation", "observers", "left_out"))
        and all(
            a.astype("str").equals(b.astype("str"))
            for a, b in zip(_both(old, said), _both(tensors, given), strict=True)
        )
    )


def _both(columns: Mapping[str, Tensor], about: Mapping[str, Json]) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = _image_table(columns, about)
    return table, _category_table(table["image"], columns, about)


def prepare_photos(
    run: Run, name: str, stimuli: Stimuli, size: tuple[int, int], skip_bad: bool, wanted: Bool[np.ndarray, " image"]
) -> list[str]:
    """Decode the wanted photos at one size into the run's cache, and note which could not be read.

    Raises InputError naming the first unreadable photo, unless `skip_bad`.
    """
    target = decoded_name(name, size)
    unreadable = decode(stimuli, size, run.file(target), skip_bad, wanted)
    return [target, run.write_json(unreadable_name(name, size), unreadable)]


def load_prepared(run: Run, name: str, sizes: Collection[tuple[int, int]]) -> Prepared:
    """What the two functions above wrote, with the photos marked that are unreadable at one of these sizes."""
    file = f"stimuli/{name}.safetensors"
    columns, about = run.tensors(file), run.about(file)
    points = Points(**{c: columns[c].numpy() for c in COLUMNS}, size=about["size"])
    table = _image_table(columns, about)
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
        points,
        classes=tuple(about["classes"]),
        citation=about["citation"],
        folder=run.path,
        categories=_category_table(table["image"], columns, about),
        left_out=about["left_out"],
        observers=tuple(about["observers"]),
    )


def parts_kept(run: Run, name: str) -> dict[str, str]:
    """The images of a data set that a run has prepared, with the part each belongs to; empty where it has not."""
    file = f"stimuli/{name}.safetensors"
    if not run.file(file).is_file():
        return {}
    table = _image_table(run.tensors(file), run.about(file))
    return dict(zip(table["image"], table["split"], strict=True))


def _image_table(columns: Mapping[str, Tensor], about: Mapping[str, Json]) -> pd.DataFrame:
    """The columns of `Prepared.table` but for the reason."""
    if "table" in about:  # before version 0.5: all of it as JSON in the header
        return pd.DataFrame(about["table"]).astype({"label": "Int64"})
    images, splits = unpacked("image", columns), decoded(columns["split"], about["splits"])
    table = pd.DataFrame({"image": images, "split": splits})
    table["width"], table["height"] = columns["width"].numpy(), columns["height"].numpy()
    table["fixations"] = np.diff(columns["offsets"].numpy())
    table["outside"] = columns["outside"].numpy() if "outside" in columns else 0
    labels = columns["label"].numpy() if "label" in columns else [pd.NA] * len(table)
    return table.assign(label=pd.array(labels, "Int64"))


def _category_table(images: "pd.Series[str]", columns: Mapping[str, Tensor], about: Mapping[str, Json]) -> pd.DataFrame:
    """`Prepared.categories`."""
    number, names = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=object)
    if "table" in about:  # before version 0.5: a list an image
        of = about.get("categories", [])
        number = np.array([len(shown) for shown in of], dtype=np.int64)
        names = np.array(list(chain.from_iterable(of)), dtype=object)
    elif "category" in columns:
        number, names = columns["n_categories"].numpy(), decoded(columns["category"], about["categories"])
    shown = images.iloc[: len(number)].repeat(number.tolist())
    return pd.DataFrame({"image": shown.to_numpy(), "category": names}, dtype="str")


def levels_name(dataset: str) -> str:
    """Where groups of observers and conditions of images are kept."""
    return f"stimuli/{dataset}-groups.json"


def write_levels(run: Run, name: str, levels: Mapping[str, Levels]) -> list[str]:
    """Write `stimuli/NAME-groups.json`: per column its unit and the level of each, and return its name."""
    return [run.write_json(levels_name(name), {c: {"unit": v.unit, "of": dict(v.of)} for c, v in levels.items()})]


def load_levels(run: Run, name: str) -> dict[str, Levels]:
    """What `write_levels` wrote."""
    return {column: Levels(v["unit"], v["of"]) for column, v in run.json(levels_name(name)).items()}

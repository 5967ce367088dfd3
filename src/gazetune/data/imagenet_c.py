"""ImageNet-C as it was published: PATH/CORRUPTION/SEVERITY/SYNSET/*.JPEG, any part of it."""

from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path

import numpy as np

from gazetune.data.classes import Classes
from gazetune.data.imagenet import CITATION, class_list_of
from gazetune.data.labelled import Labelled, existing_folder, load_image_folder, some, sub_folders
from gazetune.errors import InputError
from gazetune.progress import say

# the folders of the official archives: the 15 corruptions of the benchmark, and the 4 extra ones
CORRUPTED = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
SEVERITIES = (1, 2, 3, 4, 5)
LAYOUT = "PATH/CORRUPTION/SEVERITY/SYNSET/*.JPEG, such as PATH/snow/5/n01440764/ILSVRC2012_val_00000293.JPEG"
ABOUT = "Hendrycks & Dietterich (2019), Benchmarking neural network robustness to common corruptions, ICLR. " + CITATION
Kind = tuple[str, int]


def load_imagenet_c(path: str | Path, classes: Classes | None = None) -> Labelled:
    """The corrupted files that are there; `corrupted` says of each which it is, and copies of an image share its id.

    What is absent of the 15 corruptions at 5 severities is said, and so is what lacks images that others have.

    Args:
        path: the folder of the corruptions. classes: may be missing where all 1,000 synsets are there.

    Raises:
        InputError: no such folder, folders that are no corruption, no severity or no class, no image.
    """
    folder = existing_folder(path)
    places = _places(folder)
    known = class_list_of(corrupted_class_folders(folder), folder, classes)
    parts = {kind: load_image_folder(place, known) for kind, place in places.items()}
    _say_absent(folder, parts)
    _say_uneven({kind: part.ids for kind, part in parts.items()})
    return Labelled(
        name="imagenet_c",
        ids=tuple(i for part in parts.values() for i in part.ids),
        paths=tuple(p for part in parts.values() for p in part.paths),
        answers=np.concatenate([part.answers for part in parts.values()]),
        groups=tuple(g for part in parts.values() for g in part.groups),
        classes=known,
        corrupted=tuple(kind for kind, part in parts.items() for _ in part.ids),
        citation=ABOUT,
    )


def corrupted_class_folders(folder: Path) -> list[str]:
    """The names of the class folders of all corruptions and severities; raises InputError as `load_imagenet_c`."""
    return sorted({p.name for place in _places(folder).values() for p in sub_folders(place)})


def _places(folder: Path) -> dict[Kind, Path]:
    """The folder of each corruption and severity, in the order of the benchmark."""
    names = {p.name for p in sub_folders(folder)}
    strange = sorted(names - {*CORRUPTED, *EXTRA})
    if strange or not names:
        what = f"no corruptions of ImageNet-C: {some(strange)}" if strange else "none at all"
        raise InputError(f"'{folder}' must hold folders {LAYOUT}; it has {what}.")
    found: dict[Kind, Path] = {}
    for name in (n for n in (*CORRUPTED, *EXTRA) if n in names):
        levels = {p.name: p for p in sub_folders(folder / name)}
        wrong = sorted(set(levels) - {str(s) for s in SEVERITIES})
        if wrong or not levels:
            what = f"the folders {some(wrong)}" if wrong else "no folder"
            raise InputError(f"'{folder / name}' must hold folders of severities, 1 to 5 ({LAYOUT}); it has {what}.")
        found |= {(name, int(level)): levels[level] for level in sorted(levels)}
    return found


def _say_absent(folder: Path, there: Collection[Kind]) -> None:
    wanted = list(product(CORRUPTED, SEVERITIES))
    absent = [kind for kind in wanted if kind not in there]
    if not absent:
        return
    names = [n for n in CORRUPTED if all((n, s) in absent for s in SEVERITIES)]
    levels = [s for s in SEVERITIES if all((n, s) in absent for n in CORRUPTED)]
    rest = [f"{n} {s}" for n, s in absent if n not in names and s not in levels]
    words = [f"severity {s}" for s in levels] + [f"{n} at all severities" for n in names]
    words += [some(rest)] if rest else []
    say(
        f"'{folder}' has {len(wanted) - len(absent)} of the {len(wanted)} pairs of corruption and severity of "
        f"ImageNet-C; absent: {', '.join(words)}"
    )


def _say_uneven(ids: Mapping[Kind, tuple[str, ...]]) -> None:
    every = len({i for part in ids.values() for i in part})
    short = [f"{name} {severity} ({len(part):,})" for (name, severity), part in ids.items() if len(part) < every]
    if short:
        lack = f"{len(short)} of {len(ids)} folders of ImageNet-C lack some of the {every:,} images"
        say(f"warning: {lack}: {some(short)}")

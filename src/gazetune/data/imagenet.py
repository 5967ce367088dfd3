"""ImageNet's validation images, flat or in class folders, and a fixed list of 5,000 of them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from gazetune.data.classes import Classes
from gazetune.data.labelled import Labelled, existing_folder, load_image_folder, photos_in, some, sub_folders
from gazetune.errors import InputError
from gazetune.files import sha256_file
from gazetune.progress import say

VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})", re.IGNORECASE)
SYNSET = re.compile(r"n\d{8}")
N_CLASSES = 1000
DEVKIT = "ILSVRC2012_devkit_t12"
PUBLISHED = resources.files("gazetune") / "data" / "imagenet_c_5000.txt"
CITATION = "Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3)."


def has_photos(folder: Path) -> bool:
    """Whether validation images lie in the folder itself."""
    return any(VALIDATION_IMAGE.match(p.name) for p in folder.iterdir())


def class_folders(folder: Path) -> list[str]:
    """The names of the sub-folders, but for that of the development kit."""
    return [p.name for p in sub_folders(folder) if p.name != DEVKIT]


def is_flat(folder: Path) -> bool:
    """Whether ImageNet's images lie in the folder itself, not in a sub-folder for each class.

    Raises:
        InputError: neither, or both.
    """
    photos, inside = has_photos(folder), class_folders(folder)
    if photos == bool(inside):
        raise InputError(
            f"'{folder}' has {'' if photos else 'no '}files named ILSVRC2012_val_... and {len(inside)} sub-folders. "
            f"Needed: either the validation images themselves, or one sub-folder for each class."
        )
    return photos


def synset_classes(names: Sequence[str]) -> Classes | None:
    """The classes of ImageNet from the names of its class folders; None unless these are 1,000 synset ids.

    The usual index is the place in alphabetical order, so the folders say it, if all are there.
    """
    wnids = tuple(sorted({name for name in names if SYNSET.fullmatch(name)}))
    return Classes(names=wnids, wnids=wnids) if len(wnids) == len(set(names)) == N_CLASSES else None


def class_list_of(names: Sequence[str], folder: Path, classes: Classes | None) -> Classes:
    """The given classes, or those that all 1,000 class folders tell.

    Raises:
        InputError: there are none, and the names do not tell.
    """
    known = classes or synset_classes(names)
    if known is None:
        raise InputError(
            f"The {len(set(names))} class folders of '{folder}' are not the 1,000 synsets of ImageNet, so they do not "
            f"tell their indices. Give the class list."
        )
    return known


def load_imagenet_folders(path: str | Path, classes: Classes | None = None) -> Labelled:
    """ImageNet's validation images in one sub-folder a class; ids are SYNSET/FILE.

    Args:
        path: the folder. classes: may be missing if there are all 1,000 sub-folders and they bear synset ids.

    Raises:
        InputError: as `load_image_folder`, or the classes are missing.
    """
    folder = existing_folder(path)
    known = class_list_of(class_folders(folder), folder, classes)
    return replace(load_image_folder(folder, known, "imagenet", beside=(DEVKIT,)), citation=CITATION)


def load_imagenet_val(path: str | Path, ground_truth: str | Path, classes: Classes) -> Labelled:
    """ImageNet's validation images as one flat folder, with the labels of the development kit.

    Args:
        path: the folder of ILSVRC2012_val_00000001.JPEG and so on; some of the 50,000 are enough.
        ground_truth: ILSVRC2012_validation_ground_truth.txt, one development-kit number a line.
        classes: with development-kit numbers (`read_devkit`, `read_class_index`).

    Raises:
        InputError: a missing file, a file name without an image number or with one beyond the labels, a label that is
            no number of a class.
    """
    folder, truth = existing_folder(path), Path(ground_truth).expanduser()
    try:
        numbers = np.array(truth.read_text("utf-8").split(), dtype=np.int64)
    except (OSError, ValueError, OverflowError) as reason:
        raise InputError(f"The labels '{truth}' cannot be read ({reason}). Needed: one number a line.") from None
    places = classes.from_ilsvrc2012(numbers)
    paths = photos_in(folder, deep=False)
    matches = [VALIDATION_IMAGE.match(p.name) for p in paths]
    wrong = [p.name for p, m in zip(paths, matches, strict=True) if m is None or not 1 <= int(m[1]) <= len(numbers)]
    if wrong or not paths:
        raise InputError(
            f"'{folder}' must hold images named ILSVRC2012_val_00000001.JPEG to "
            f"ILSVRC2012_val_{len(numbers):08d}.JPEG; it has {some(wrong) if wrong else 'no image'}."
        )
    index = np.array([int(m[1]) - 1 for m in matches if m])
    return Labelled(
        name="imagenet",
        ids=tuple(p.name for p in paths),
        paths=tuple(paths),
        answers=places[index][:, None],
        groups=tuple(classes.wnids[i] for i in places[index]),
        classes=classes,
        sources={truth.name: sha256_file(truth)},
        citation=CITATION,
    )


def published_5000(labelled: Labelled) -> Labelled:
    """The fixed 5,000 ImageNet validation images, 5 of each class (how they were chosen: docs/parity.md).

    Which they are is told by the number in an image's id; of a set with several copies of an image all are kept.

    Raises:
        InputError: images of the list are missing.
    """
    text = PUBLISHED.read_text(encoding="ascii")
    listed = np.array([line for line in text.split("\n") if line and not line.startswith("#")], dtype=np.int64)
    matches = [VALIDATION_IMAGE.search(i) for i in labelled.ids]
    numbers = np.array([int(m[1]) if m else 0 for m in matches], dtype=np.int64)
    missing = np.setdiff1d(listed, numbers)
    if len(missing):
        raise InputError(
            f"{len(missing):,} of the {len(listed):,} listed ImageNet validation images are not in '{labelled.name}', "
            f"the first is ILSVRC2012_val_{missing[0]:08d}. Give all 50,000 images, or use the set as it is."
        )
    kept = labelled.take(np.isin(numbers, listed))
    say(f"'{labelled.name}': {len(kept):,} of {len(labelled):,} images, by the fixed list of {len(listed):,}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(kept, sources={**kept.sources, PUBLISHED.name: digest})

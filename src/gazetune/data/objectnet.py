"""ObjectNet (Barbu et al., 2019): photos of 313 kinds of objects, 113 of which ImageNet has; for testing only.

Its licence (CC BY 4.0 with two more terms) forbids to tune a model on it, and asks that single images be shown only
with their red border. The border is taken off for the model alone.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gazetune.data.classes import Classes, unambiguous
from gazetune.data.images import read_rgb
from gazetune.data.labelled import Labelled, existing_folder, photos_in, some, sub_folders
from gazetune.documents import read_json, short
from gazetune.errors import InputError
from gazetune.files import sha256_file
from gazetune.progress import say

MAPPING_FILES = (
    "folder_to_objectnet_label.json", "objectnet_to_imagenet_1k.json", "imagenet_to_label_2012_v2",
    "pytorch_to_imagenet_2012_id.json",
)  # fmt: skip
MAPPING_FOLDERS = ("mappings",)  # where the official archive has them, beside its `images`
WIDEST_BORDER = 4  # px; the official files have 2
REDDEST, OFF = np.array([255, 0, 0]), 48  # a border saved as JPEG is a little off

CITATION = "Barbu et al. (2019), ObjectNet, NeurIPS 32. Test only: its licence forbids to tune a model on it."


def objectnet_mapping(folder: str | Path) -> dict[str, tuple[int, ...]]:
    """The ImageNet indices that are right for each ObjectNet folder that has any: 113 folders, 125 indices.

    Args:
        folder: with the four official mapping files. They join by names: a folder has an ObjectNet label, that has
            ImageNet labels separated by "; ", a label is a line of a list, and a line has an index (the line number is
            not one).

    Raises:
        InputError: a file is missing or damaged, or a label of one is not in the next.
    """
    place = existing_folder(folder)
    missing = [name for name in MAPPING_FILES if not (place / name).is_file()]
    if missing:
        raise InputError(f"ObjectNet needs its mapping files in '{place}'; missing: {', '.join(missing)}.")
    try:
        labels, matches, order = (read_json(place / MAPPING_FILES[i]) for i in (0, 1, 3))
        lines = (place / MAPPING_FILES[2]).read_text(encoding="utf-8")
        line_of = unambiguous([line.strip() for line in lines.splitlines()])
        index_of = {int(line): int(index) for index, line in order.items()}
        return {
            name: tuple(sorted(index_of[line_of[part.strip()]] for part in matches[label].split("; ")))
            for name, label in sorted(labels.items())
            if label in matches
        }
    except (InputError, OSError, ValueError, KeyError, AttributeError, TypeError, OverflowError) as reason:
        raise InputError(
            f"The mapping files of ObjectNet in '{place}' do not fit together: {short(repr(reason), 200)}."
        ) from None


def objectnet_classes(folder: str | Path) -> Classes:
    """The 1,000 classes of ImageNet in the usual order, by the names that ObjectNet's mapping files give them.

    Raises:
        InputError: a file is missing or damaged, or does not name each index from 0 on once.
    """
    place = existing_folder(folder)
    try:
        lines = (place / MAPPING_FILES[2]).read_text(encoding="utf-8").splitlines()
        order = read_json(place / MAPPING_FILES[3])
        names = {int(index): lines[int(line)].strip() for index, line in order.items()}
        if sorted(names) != list(range(len(lines))) or len(set(order.values())) < len(lines):
            raise ValueError(f"{len(names)} indices for {len(lines)} lines")
    except (InputError, OSError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as reason:
        raise InputError(
            f"The mapping files of ObjectNet in '{place}' do not fit together: {short(repr(reason), 200)}."
        ) from None
    return Classes(names=tuple(names[i] for i in range(len(names))))


def load_objectnet(path: str | Path, mapping: str | Path, classes: Classes | None = None) -> Labelled:
    """The photos of ObjectNet whose kind ImageNet has; right is any of the kind's ImageNet indices.

    Args:
        path: the folder with one sub-folder a kind. mapping: the folder of the mapping files (`objectnet_mapping`).
        classes: the 1,000 of ImageNet, in the usual order; without, as the mapping files name them.

    Sub-folders of kinds that ImageNet lacks are left out, which is said. `Labelled.read` takes the red border off.

    Raises:
        InputError: a missing folder or file, a sub-folder that is no kind of ObjectNet, no photo at all.
    """
    folder, answers = existing_folder(path), objectnet_mapping(mapping)
    kinds = read_json(Path(mapping).expanduser() / MAPPING_FILES[0])
    inside = [p for p in sub_folders(folder) if p.name not in MAPPING_FOLDERS]
    unknown = [p.name for p in inside if p.name not in kinds]
    if unknown:
        raise InputError(f"{len(unknown)} sub-folders of '{folder}' are no kind of ObjectNet: {some(unknown)}.")
    known = classes or objectnet_classes(mapping)
    if max(i for indices in answers.values() for i in indices) >= len(known):
        raise InputError(f"ObjectNet is mapped to the 1,000 classes of ImageNet; the class list has {len(known)}.")
    mapped = [p for p in inside if p.name in answers]
    found = [(photo, sub.name) for sub in mapped for photo in photos_in(sub)]
    if not found:
        raise InputError(f"'{folder}' has no photo in a sub-folder of a kind that ImageNet has, such as 'alarm_clock'.")
    if len(mapped) < len(inside):
        say(f"{len(inside) - len(mapped)} of {len(inside)} kinds of ObjectNet are not in ImageNet and are left out")
    widest = max(map(len, answers.values()))
    return Labelled(
        name="objectnet",
        ids=tuple(photo.relative_to(folder).as_posix() for photo, _ in found),
        paths=tuple(photo for photo, _ in found),
        answers=np.array([[*answers[k], *[-1] * (widest - len(answers[k]))] for _, k in found], dtype=np.int64),
        groups=tuple(kind for _, kind in found),
        classes=known,
        may_tune=False,
        read=read_without_border,
        sources={name: sha256_file(Path(mapping).expanduser() / name) for name in MAPPING_FILES},
        citation=CITATION,
    )


def read_without_border(path: Path) -> tuple[UInt8[np.ndarray, "height width 3"], int]:
    """The pixels of an image inside its red border, and the border's width in px; raises InputError as `read_rgb`."""
    pixels = read_rgb(path)
    try:
        width = red_border(pixels)
        width = width if 2 * width < min(pixels.shape[:2]) else 0  # a picture of nothing but red has no frame
    except ValueError:
        raise InputError(
            f"'{path}' has a red border of more than {WIDEST_BORDER} px, ObjectNet's have 2. Cut it, or drop the file "
            f"with --skip-bad."
        ) from None
    return pixels[width : len(pixels) - width, width : pixels.shape[1] - width], width


def red_border(pixels: UInt8[np.ndarray, "height width 3"]) -> int:
    """How many pixels of red frame an image has on all four sides: 0 to 4.

    Red is within 48 grey levels of (255, 0, 0) in each channel, so that a border survives JPEG.

    Raises:
        ValueError: the frame is wider.
    """
    red = (np.abs(pixels.astype(np.int16) - REDDEST) <= OFF).all(axis=2)
    for width in range(WIDEST_BORDER + 1):
        ring = red[width : red.shape[0] - width, width : red.shape[1] - width]
        if not ring.size or not (ring[0].all() and ring[-1].all() and ring[:, 0].all() and ring[:, -1].all()):
            return width
    raise ValueError(f"a red frame of more than {WIDEST_BORDER} px")

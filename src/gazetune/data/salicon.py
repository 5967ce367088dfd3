"""SALICON: 15,000 photos of COCO 2014 with the mouse-contingent gaze of many workers (Jiang et al., 2015).

A folder with any of these, as released:
  fixations_train2014.json, fixations_val2014.json   the JSON of 2015 (mouse samples)
  fixations/{train,val}/*.mat, or *.mat              the .mat files of 2015 or 2017 (samples and fixations)
  fixation_points/*.png                              fixations of all workers merged
and, where there are any: the photos (images/, train2014/, val2014/), SALICON's density_maps/*.png (for a check), and
COCO's instances_*.json (objects), in the folder itself or in annotations/.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from gazetune.data.coco import CITATION as COCO_CITATION
from gazetune.data.coco import Crowds, image_number, load_coco
from gazetune.data.faults import Faults
from gazetune.data.recorded import Recorded
from gazetune.data.salicon_axes import check_axes
from gazetune.data.salicon_files import Gaze, read_mat, read_points
from gazetune.data.salicon_json import read_json
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli
from gazetune.documents import read_yaml, short
from gazetune.errors import InputError
from gazetune.files import sha256_file, sha256_files

CITATION = (
    "Jiang, M., Huang, S., Duan, J., & Zhao, Q. (2015). SALICON: Saliency in Context. CVPR 2015, 1072-1080. Photos and "
    f"objects: {COCO_CITATION}"
)
SETTINGS = "salicon.yaml"
PLACES = ("", "images", "images/train", "images/val", "train", "val", "train2014", "val2014")
Edition = Literal[2015, 2017]
Form = Literal["json", "mat", "points"]


class Salicon(BaseModel):
    """What of SALICON is read; in the YAML under `data.options`, or in a file `salicon.yaml` in its folder.

    edition: 2015 or 2017; gaze: samples of the mouse or fixations. Both must be named for the JSON and the .mat files;
    pictures of merged fixation points are what they are. form: json, mat or points, where the folder holds several.
    crowds: whether COCO's crowd annotations count as objects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edition: Edition | None = None
    gaze: Gaze | None = None
    form: Form | None = None
    crowds: Crowds = "exclude"


def load_salicon(path: str | Path, options: Salicon | None = None, skip_bad: bool = False) -> Stimuli:
    """SALICON from its original files (layout: see this module's docstring).

    The split that comes with it (`split: {rule: given}`): validation images are tested; of the training images those
    whose name's sha256 is divisible by 10 are for validation, the rest for training.

    Args:
        path: the folder. options: what is read; settings named here go before those in the folder's salicon.yaml.
        skip_bad: leave out records that cannot be used, and count them in `left_out`.

    Raises:
        InputError: nothing to read, edition or gaze not named or not what the files hold, swapped axes, and unless
            `skip_bad` every bad record, a photo that is missing, an image that no annotation file knows.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"'{root}' is no folder. For SALICON, 'gazetune fetch salicon' says what goes into it.")
    options, faults = _settings(root, options or Salicon()), Faults(skip_bad)
    form = _form(root, options)
    read = _read(root, form, options, faults)
    released = {f"{p.stem}.jpg": p for p in _released(root, form)}
    check_axes(read, released, f"'{root}' ({form})")
    stimuli = _with_photos(root, _as_stimuli(read, form, options), faults)
    stimuli = _with_objects(root, stimuli, options, faults)
    faults.report("salicon")
    return replace(stimuli, left_out=stimuli.left_out | {k: tuple(v) for k, v in faults.left_out.items()})


def _settings(root: Path, options: Salicon) -> Salicon:
    """The options with those of the folder's own file where they say nothing."""
    beside = root / SETTINGS
    if not beside.is_file():
        return options
    try:
        said = read_yaml(beside) or {}
        return Salicon.model_validate({**said, **options.model_dump(exclude_unset=True)})
    except (ValidationError, TypeError) as reason:
        raise InputError(
            f"'{beside}' may say edition, gaze, form and crowds, as in `edition: 2015`: {short(reason, 500)}"
        ) from None


def gaze_files(root: Path, form: Form) -> list[Path]:
    """The files of one of SALICON's releases in a folder."""
    if form == "json":
        return sorted([*root.glob("fixations_*.json"), *root.glob("annotations/fixations_*.json")])
    if form == "mat":
        return sorted([*root.glob("*.mat"), *root.glob("fixations/*.mat"), *root.glob("fixations/*/*.mat")])
    return sorted([*root.glob("fixation_points/*.png"), *root.glob("fixation_points/*/*.png")])


def _form(root: Path, options: Salicon) -> Form:
    """Which of the releases to read. Raises InputError where that is not said or does not go together."""
    forms: tuple[Form, ...] = ("json", "mat", "points")
    there = [form for form in forms if gaze_files(root, form)]
    if not there:
        raise InputError(
            f"No SALICON in '{root}': needed fixations_*.json, fixations/*.mat or fixation_points/*.png. "
            f"'gazetune fetch salicon' says where they come from."
        )
    fitting = [options.form] if options.form else [form for form in there if _fits(form, options)] or there
    if len(fitting) > 1 or fitting[0] not in there:
        came = f"; asked for was form {options.form}" if options.form else ""
        raise InputError(f"'{root}' holds {' and '.join(there)}{came}. Say which is meant: {_how('form: ' + there[0])}")
    form = fitting[0]
    if form == "points":
        if options.gaze == "samples":
            raise InputError(f"'{root}' holds merged fixation points; mouse samples are in the JSON or .mat files.")
        return form
    if options.edition is None or options.gaze is None:
        can = "edition: 2015, gaze: samples" if form == "json" else "edition: 2015 or 2017, gaze: samples or fixations"
        raise InputError(
            f"'{root}' holds SALICON's {form} files. Name edition and gaze, for the files do not: {_how(can)}"
        )
    if form == "json" and (options.edition, options.gaze) != (2015, "samples"):
        raise InputError(
            f"The JSON files in '{root}' are of edition 2015 and hold mouse samples, though they are called fixations; "
            f"asked for was edition {options.edition}, gaze {options.gaze}. Fixations are in the .mat files."
        )
    return form


def _fits(form: Form, options: Salicon) -> bool:
    """Whether a release can hold what was asked for."""
    if form == "json":
        return options.edition in (None, 2015) and options.gaze in (None, "samples")
    return form == "mat" or options.gaze in (None, "fixations")


def _how(settings: str) -> str:
    return f"{settings}, in '{SETTINGS}' in that folder (one a line) or under data.options in the experiment's YAML."


def _read(root: Path, form: Form, options: Salicon, faults: Faults) -> Recorded:
    files = gaze_files(root, form)
    if form == "points":
        return read_points(files, faults)
    if form == "mat":
        return read_mat(files, options.gaze or "fixations", faults)
    return _joined([read_json(file, faults) for file in files])


def _joined(parts: list[Recorded]) -> Recorded:
    """Several files as one; a worker of the same name is the same person."""
    if len(parts) == 1:
        return parts[0]
    workers = tuple(sorted({name for part in parts for name in part.workers}))
    place = {name: i for i, name in enumerate(workers)}
    numbers = [np.array([place[name] for name in part.workers], dtype=np.int32) for part in parts]
    starts = np.cumsum([0, *(len(part.x) for part in parts)])
    return Recorded(
        ids=tuple(i for part in parts for i in part.ids),
        size=np.concatenate([part.size for part in parts]),
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        observer=np.concatenate([number[part.observer] for number, part in zip(numbers, parts, strict=True)]),
        offsets=np.concatenate([[0], *(p.offsets[1:] + start for p, start in zip(parts, starts, strict=False))]),
        outside=np.concatenate([part.outside for part in parts]),
        workers=workers,
        sources={file: digest for part in parts for file, digest in part.sources.items()},
    )


def _released(root: Path, form: Form) -> Iterable[Path]:
    maps = sorted([*root.glob("density_maps/*.png"), *root.glob("density_maps/*/*.png")])
    return maps or (gaze_files(root, "points") if form != "points" else [])


def _as_stimuli(read: Recorded, form: Form, options: Salicon) -> Stimuli:
    what = "merged fixation points" if form == "points" else f"edition {options.edition}, {options.gaze} ({form})"
    return Stimuli(
        name="salicon",
        ids=read.ids,
        width=read.size[:, 0],
        height=read.size[:, 1],
        fixations=Fixations(x=read.x, y=read.y, observer=read.observer, order=read.order),
        offsets=read.offsets,
        paths=(None,) * len(read.ids),
        given_split=tuple(map(_part, read.ids)),
        outside=read.outside,
        sources={**read.sources, "gaze": what},
        citation=CITATION,
    )


def _part(name: str) -> str:
    if "_train2014_" not in name:
        return "test"
    return "validation" if int(sha256(name.encode()).hexdigest(), 16) % 10 == 0 else "train"


def _with_photos(root: Path, stimuli: Stimuli, faults: Faults) -> Stimuli:
    """The data set with its photos, where the folder has any; images whose photo is missing are left out or stop it."""
    there = {p.name: p for place in PLACES for p in sorted((root / place).glob("COCO_*.jpg"))}
    if not there:
        return stimuli
    for name in stimuli.ids:
        if name not in there:
            faults.add(
                "image without file", f"'{root}', {name}", f"{len(there)} other photos are there", "Add the photo"
            )
    stimuli = stimuli.take(np.array([i for i, name in enumerate(stimuli.ids) if name in there], dtype=np.int64))
    paths = [there[name] for name in stimuli.ids]
    return replace(stimuli, paths=tuple(paths), sources={**stimuli.sources, "photos": sha256_files(paths)})


def _with_objects(root: Path, stimuli: Stimuli, options: Salicon, faults: Faults) -> Stimuli:
    """The data set with COCO's objects, where the folder has annotations."""
    files = sorted([*root.glob("instances*.json"), *root.glob("annotations/instances*.json")])
    if not files:
        return stimuli
    numbers = [image_number(name) for name in stimuli.ids]
    sizes = {n: (int(h), int(w)) for n, h, w in zip(numbers, stimuli.height, stimuli.width, strict=True)}
    objects = load_coco(files, sizes, options.crowds, faults)
    names = ", ".join(f"'{file.name}'" for file in files)
    for number, name in zip(numbers, stimuli.ids, strict=True):
        if number not in objects.found:
            what = f"{len(sizes) - len(objects.found)} of {len(sizes)} images are not in {names}"
            cure = "Add the annotations of the right split (train or val of 2014 or 2017)"
            faults.add("image that no annotation file knows", f"'{root}', {name}", what, cure)
    known = [i for i, number in enumerate(numbers) if number in objects.found]
    stimuli = stimuli.take(np.array(known, dtype=np.int64))
    sources = {file.name: sha256_file(file) for file in objects.used}
    left_out = {"crowd annotation": objects.crowds} if objects.crowds else {}
    return replace(
        stimuli,
        find_objects=_finder(objects.found),
        sources={**stimuli.sources, **sources, "crowds": options.crowds},
        left_out=left_out,
    )


def _finder(found: dict[int, tuple[ObjectMask, ...]]) -> Callable[[str], tuple[ObjectMask, ...]]:
    return lambda name: found.get(image_number(name), ())

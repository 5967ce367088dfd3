"""Labelled data sets by the name of their kind, with the class list and the answers found where they usually lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gazetune.data.classes import Classes, read_classes
from gazetune.data.hub import load_hub
from gazetune.data.imagenet import (
    DEVKIT,
    class_folders,
    has_photos,
    is_flat,
    load_imagenet_folders,
    load_imagenet_val,
    synset_classes,
)
from gazetune.data.imagenet_c import corrupted_class_folders, load_imagenet_c
from gazetune.data.label_table import label_table, load_label_table
from gazetune.data.labelled import (
    Labelled,
    existing_folder,
    load_image_folder,
    some,
    sub_folders,
)
from gazetune.data.objectnet import MAPPING_FILES, MAPPING_FOLDERS, load_objectnet
from gazetune.errors import InputError
from gazetune.files import sha256_file
from gazetune.progress import say

NUMBERED = ("class_index.csv", "meta.mat")  # class lists that know the numbers of the development kit
USUAL = {
    "classes": (*NUMBERED, "LOC_synset_mapping.txt", "synset_words.txt"),
    "answers": ("ILSVRC2012_validation_ground_truth.txt",),
}
IMAGES = ("images", "val")  # sub-folders that the images may lie in


@dataclass(frozen=True)
class Given:
    """The files that a user named beside the data: class list, answers, folder of ObjectNet's mapping files."""

    classes: Path | None = None
    answers: Path | None = None
    mapping: Path | None = None


@dataclass(frozen=True)
class Source:
    """A kind of labelled data: how it is read, and which of the other files it may need."""

    read: Callable[[str | Path, Given], Labelled]
    uses: tuple[str, ...]


def read_labelled(
    kind: str,
    path: str | Path,
    *,
    classes: Path | None = None,
    answers: Path | None = None,
    mapping: Path | None = None,
    name: str | None = None,
) -> Labelled:
    """A labelled data set by the name of its kind (a key of LABELLED).

    Args:
        path: a folder; for `labels` also a CSV, for `hub` OWNER/NAME[:SPLIT] or a folder.
        classes: a class list (`read_classes`). answers: ILSVRC2012_validation_ground_truth.txt. mapping: the folder of
            ObjectNet's mapping files. All are looked for in PATH, beside it and in ILSVRC2012_devkit_t12/data.
        name: what the data set is called in tables; by default as its reader calls it.

    Raises:
        InputError: no such kind, a file that this kind has no use for, something needed that was not found, or as the
            readers do.
    """
    if kind not in LABELLED:
        raise InputError(f"There is no kind of labelled images '{kind}'; there are {', '.join(LABELLED)}.")
    given = Given(classes, answers, mapping)
    idle = [f"--{o}" for o in ("classes", "answers", "mapping") if getattr(given, o) and o not in LABELLED[kind].uses]
    if idle:
        raise InputError(f"Labelled images of the kind '{kind}' have no use for {' and '.join(idle)}. Leave it out.")
    found = LABELLED[kind].read(path, given)
    return replace(found, name=name or found.name)


def _folder(path: str | Path, given: Given) -> Labelled:
    folder = existing_folder(path)
    listed = _fitting(_find(_near(folder), "classes", given), [p.name for p in sub_folders(folder)], given)
    return _with(listed, given, load_image_folder(folder, _classes(listed)))


def _labels(path: str | Path, given: Given) -> Labelled:
    csv = Path(path).expanduser()
    csv = csv / "labels.csv" if csv.is_dir() else csv
    table, near = label_table(csv), _near(csv.parent)
    listed = _find(near, "classes", given)
    if "label" in table and not {"index", "wnid"} & set(table):
        listed = _fitting(listed, list(table["label"]), given)
    elif listed is None and "label" not in table and {"index", "wnid"} & set(table):
        raise _not_found(f"The indices or synset ids of '{csv}' need a class list", near, "classes")
    return _with(listed, given, load_label_table(csv, classes=_classes(listed)))


def _imagenet(path: str | Path, given: Given) -> Labelled:
    top = existing_folder(path)
    names = {p.name for p in sub_folders(top)}
    inside = sorted(names.intersection(IMAGES))
    folder = top / inside[0] if len(inside) == 1 and names <= {*IMAGES, DEVKIT} and not has_photos(top) else top
    near = list(dict.fromkeys([*_near(folder), *_near(top)]))
    if not is_flat(folder):
        return _by_synset(load_imagenet_folders, folder, near, class_folders(folder), given)
    if given.answers:  # the kit has both files in one folder
        near = [*near, given.answers.expanduser().parent]
    listed, truth = _find(near, "classes", given, NUMBERED), _find(near, "answers", given)
    if listed is None:
        raise _not_found(f"The images in '{folder}' need a class list", near, "classes", NUMBERED)
    if truth is None:
        raise _not_found(f"The images in '{folder}' need their answers", near, "answers")
    return _with(listed, given, load_imagenet_val(folder, truth, read_classes(listed)))


def _imagenet_c(path: str | Path, given: Given) -> Labelled:
    folder = existing_folder(path)
    return _by_synset(load_imagenet_c, folder, _near(folder), corrupted_class_folders(folder), given)


def _by_synset(
    load: Callable[[Path, Classes | None], Labelled], folder: Path, near: list[Path], names: list[str], given: Given
) -> Labelled:
    """Class folders of ImageNet: all 1,000 tell their indices, fewer need a class list."""
    listed = _find(near, "classes", given)
    if listed is None and synset_classes(names) is None:
        some_of = f"The {len(set(names))} class folders of '{folder}' are not the 1,000 of ImageNet"
        raise _not_found(f"{some_of}, so they need a class list", near, "classes")
    return _with(listed, given, load(folder, _classes(listed)))


def _objectnet(path: str | Path, given: Given) -> Labelled:
    top = existing_folder(path)
    names = {p.name for p in sub_folders(top)}
    folder = top / "images" if "images" in names and names <= {"images", *MAPPING_FOLDERS} else top
    near = [p / sub for p in dict.fromkeys((top, folder, top.absolute().parent)) for sub in ("", *MAPPING_FOLDERS)]
    mapping = given.mapping or next((p for p in near if (p / MAPPING_FILES[0]).is_file()), None)
    if mapping is None:
        raise _not_found("ObjectNet needs the folder of its mapping files", near, "mapping", MAPPING_FILES)
    found = load_objectnet(folder, mapping, _classes(given.classes))
    return _with(given.classes, given, found)


def _hub(path: str | Path, given: Given) -> Labelled:
    return _with(given.classes, given, load_hub(path, _classes(given.classes)))


LABELLED: dict[str, Source] = {
    "folder": Source(_folder, ("classes",)),
    "labels": Source(_labels, ("classes",)),
    "imagenet": Source(_imagenet, ("classes", "answers")),
    "imagenet_c": Source(_imagenet_c, ("classes",)),
    "objectnet": Source(_objectnet, ("classes", "mapping")),
    "hub": Source(_hub, ("classes",)),
}


def _classes(listed: Path | None) -> Classes | None:
    return None if listed is None else read_classes(listed)


def _near(folder: Path) -> list[Path]:
    """Where the files that belong to a folder of images usually lie."""
    places = (folder, folder.absolute().parent)
    return [*places, *(p / DEVKIT / "data" for p in places)]


def _find(near: Sequence[Path], option: str, given: Given, names: Sequence[str] = ()) -> Path | None:
    """The file that was named, else the first with a usual name in the usual places."""
    named: Path | None = getattr(given, option)
    paths = (p / name for p in near for name in names or USUAL[option])
    return named.expanduser() if named else next((p for p in paths if p.is_file()), None)


def _not_found(what: str, near: Sequence[Path], option: str, names: Sequence[str] = ()) -> InputError:
    files, places = " or ".join(names or USUAL[option]), ", ".join(map(str, near))
    return InputError(f"{what}. Looked for {files} in {places}. --{option} PATH names it.")


def _fitting(listed: Path | None, names: Sequence[str], given: Given) -> Path | None:
    """A class list that lies about is taken only where it knows any of the names; one that was named always is."""
    if listed is None or given.classes:
        return listed
    known = read_classes(listed)
    if any(known.place(name) is not None for name in names):
        return listed
    say(f"'{listed}' knows none of the classes, such as {some(list(dict.fromkeys(names))[:1])}, and is not used")
    return None


def _with(listed: Path | None, given: Given, found: Labelled) -> Labelled:
    """The data set, with the class list among its sources; one that was not named is said."""
    if listed is None:
        return found
    if not given.classes:
        say(f"'{found.name}': class list '{listed}'")
    return replace(found, sources={**found.sources, listed.name: sha256_file(listed.expanduser())})

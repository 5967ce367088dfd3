"""A labelled Hugging Face dataset, from the hub or from a folder (extra `hub`, which brings the library `datasets`)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from gazetune.data.classes import Classes
from gazetune.data.images import decode_rgb
from gazetune.data.labelled import Labelled, Pixels, some, whole
from gazetune.errors import InputError

NEEDS = "A Hugging Face dataset needs the library `datasets`: pip install 'gazetune[hub]'."
SAVED = ("state.json", "dataset_dict.json")  # what save_to_disk leaves in a folder
IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels")
BATCH = 256  # rows that are looked at together


@dataclass(frozen=True)
class Rows:
    """The pixels of a row, or of a file that a row names. `table` is a datasets.Dataset, which can be pickled."""

    table: Any
    column: str
    name: str

    def __call__(self, where: int | Path) -> tuple[Pixels, int]:
        """Pixels and 0 for no border. Raises InputError as `read_rgb`."""
        if isinstance(where, Path):
            return whole(where)
        content = self.table[where][self.column]["bytes"]
        return decode_rgb(content, f"row {where} of {self.name}"), 0


def load_hub(source: str | Path, classes: Classes | None = None) -> Labelled:
    """A Hugging Face dataset: OWNER/NAME on the hub, or a folder of parquet files or of `save_to_disk`.

    The image column is the one that holds images, the label column the one of class labels (else called `label`). Ids
    are the file names that the rows bear, else SPLIT-000000 and so on.

    Args:
        source: OWNER/NAME or a folder; with :SPLIT where there are several splits.
        classes: a list to match the dataset's class names (or synset ids) with; without, the dataset's own.

    Raises:
        InputError: `datasets` is not installed, nothing there, a split to choose, no such column, a row without a
            label or image, class names that are not in the list.
    """
    table, split = _opened(str(source))
    image, label = _columns(table, str(source))
    files = _undecoded(table, image, source)
    ids, paths, labels, digest = _walked(files, image, label, split)
    names = getattr(table.features[label], "names", None)
    labels = _named(labels, names)
    known, answers = _answers(labels, names, classes, str(source))
    return Labelled(
        name=re.sub(r"\W+", "_", str(source).rstrip("/").rpartition("/")[2]) or "hub",
        ids=ids,
        paths=paths,
        answers=answers[:, None],
        groups=tuple(map(str, labels)),
        classes=known,
        read=Rows(files.select_columns([image]), image, f"'{source}'"),
        sources={"images": digest},
        citation=str(table.info.citation or "").strip(),
    )


def _opened(source: str) -> tuple[Any, str]:
    """The table of one split, and the split's name."""
    try:
        import datasets
    except ImportError:
        raise InputError(NEEDS) from None
    datasets.disable_progress_bars()
    name, _, split = (source, "", "") if Path(source).expanduser().exists() else source.partition(":")
    folder = Path(name).expanduser()
    if not folder.is_dir() and name.count("/") != 1:
        raise InputError(
            f"There is no folder '{name}'. Needed: a folder, or OWNER/NAME[:SPLIT] of the Hugging Face hub."
        )
    try:
        if any((folder / f).is_file() for f in SAVED):
            saved = datasets.load_from_disk(str(folder))
            if not isinstance(saved, dict):
                return saved, str(saved.split or split or "row")
            wanted = _one_split(source, split, list(saved))
            return saved[wanted], wanted
        builder = datasets.load_dataset_builder(str(folder) if folder.is_dir() else name)
        files = {str(k): [str(f) for f in v] for k, v in (builder.config.data_files or {}).items()}
        wanted = _one_split(source, split, list(files or builder.info.splits or ()))
        if all(f.endswith(".parquet") for f in files.get(wanted, [""])):
            # by name, all splits would be fetched and copied: 150 GB of training images for 6 of validation
            only, features = {wanted: files[wanted]}, builder.info.features
            return datasets.load_dataset("parquet", data_files=only, split=wanted, features=features), wanted
        return datasets.load_dataset(str(folder) if folder.is_dir() else name, split=wanted), wanted
    except InputError:
        raise
    except Exception as reason:  # the library, the network and the files raise errors of a dozen kinds
        said = (str(reason) or type(reason).__name__).splitlines()[0]
        raise InputError(
            f"The dataset '{source}' cannot be opened ({said}). Needed: OWNER/NAME[:SPLIT] of the Hugging Face hub "
            f"(for a gated one after `hf auth login`), or a folder of parquet files or of save_to_disk."
        ) from None


def _one_split(source: str, wanted: str, there: Sequence[str]) -> str:
    if wanted in there or (not wanted and len(there) == 1):
        return wanted or there[0]
    what = f"no split '{wanted}'" if wanted else f"{len(there)} splits"
    raise InputError(f"'{source}' has {what}; choose one of {', '.join(there) or 'none'} as PATH:SPLIT.")


def _columns(table: Any, source: str) -> tuple[str, str]:
    """The names of the image and the label column."""
    found = []
    for what, kind, usual in (("image", "Image", IMAGE_COLUMNS), ("label", "ClassLabel", LABEL_COLUMNS)):
        columns = [c for c, feature in table.features.items() if type(feature).__name__ == kind]
        if len(columns) != 1:
            columns = [c for c in usual if c in table.features][:1]
        if not columns:
            raise InputError(
                f"'{source}' needs one column of {what}s, or one called {' or '.join(usual)}; it has "
                f"{', '.join(table.features)}."
            )
        found += columns
    return found[0], found[1]


def _undecoded(table: Any, image: str, source: str | Path) -> Any:
    import datasets

    try:
        return table.cast_column(image, datasets.Image(decode=False))
    except Exception as reason:
        raise InputError(f"The column '{image}' of '{source}' does not hold image files ({reason}).") from None


def _walked(
    table: Any, image: str, label: str, split: str
) -> tuple[tuple[str, ...], tuple[Path | int, ...], list[Any], str]:
    """Ids, where each image lies, labels, and one sha256 over the bytes of all images."""
    names: list[str | None] = []
    paths: list[Path | int] = []
    labels: list[Any] = []
    digest = hashlib.sha256()
    for part in table.select_columns([image, label]).with_format("arrow").iter(batch_size=BATCH):
        labels += part[label].to_pylist()
        for row in part[image].to_pylist():
            content, path = (row or {}).get("bytes"), (row or {}).get("path")
            if content is None and not path:
                raise InputError(f"Row {len(paths)} of the dataset has no image. Filter such rows out.")
            digest.update(hashlib.sha256(content).digest() if content is not None else str(path).encode())
            paths.append(len(paths) if content is not None else Path(str(path)))
            names.append(path)
    told_apart = len(names) == len({n for n in names if n})
    ids = tuple(map(str, names)) if told_apart else tuple(f"{split}-{i:06d}" for i in range(len(names)))
    return ids, tuple(paths), labels, digest.hexdigest()


def _named(labels: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """The labels as names, where the column has names for its numbers; what has none stays as it is (-1: no label)."""
    if names is None:
        return list(labels)
    return [names[x] if isinstance(x, int) and 0 <= x < len(names) else x for x in labels]


def _answers(
    labels: Sequence[Any], names: Sequence[str] | None, classes: Classes | None, source: str
) -> tuple[Classes, Int[np.ndarray, " image"]]:
    """The classes, and the index of each label among them."""
    if classes is None and names is None and not all(isinstance(x, str) for x in labels):
        raise InputError(f"The labels of '{source}' are numbers without names. Give the class list with --classes.")
    known = classes or Classes(names=tuple(names or sorted(set(labels))))
    place: dict[Any, int | None] = {x: x for x in range(len(known))} if names is None else {}
    place |= {x: known.place(x) for x in set(labels) if isinstance(x, str)}
    if classes is None:  # its own names, also those that differ in case only
        place |= {name: i for i, name in enumerate(known.names)}
    found = [place.get(x) for x in labels]
    wrong = [str(x) for x, i in zip(labels, found, strict=True) if i is None]
    if wrong or not found:
        raise InputError(
            f"{len(wrong)} of {len(labels)} rows of '{source}' have a label that is none of the {len(known)} classes: "
            f"{some(list(dict.fromkeys(wrong)))}."
        )
    return known, np.array(found, dtype=np.int64)

"""SALICON's JSON of 2015: one record per image and worker, points [row, column], 1-based (Jiang et al., 2015).

The validation file has about 37 million points, the training file 74 million. It is read as a stream into int16
columns, and these are kept beside it (`.NAME.columns.safetensors`), so that the second time takes a second.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gazetune.data.coco_json import CutShort, annotations_of, images_of, no_collection
from gazetune.data.faults import Faults
from gazetune.data.recorded import Recorded, Records
from gazetune.documents import short
from gazetune.files import move, sha256_file
from gazetune.progress import say

AXES = "[row, column], counted from 1"
FORMAT = 1  # of the columns kept; with another number they are made anew
KEEP_FROM_BYTES = 32_000_000  # a smaller file is read again in a second
COLUMNS = ("size", "x", "y", "observer", "offsets", "outside")


def read_json(path: Path, faults: Faults) -> Recorded:
    """The mouse samples of a `fixations_*.json`, out of the columns kept beside it if they are those of this file.

    Kept columns name the sha256 of their file, which is computed again where its size or time has changed since. Of a
    file with bad records nothing is kept. Peak memory: about 12 bytes a point.

    Raises InputError for no such JSON and, through `faults`, for one that is cut short, a record with a missing field,
    without points or of an unknown image, and points that are no pairs of whole numbers or lie outside their image.
    """
    kept = kept_name(path)
    found = _kept(kept, path) if kept.is_file() else None
    if found is not None:
        return found
    large = path.stat().st_size >= KEEP_FROM_BYTES
    if large:
        say(f"reading '{path.name}' ({path.stat().st_size / 1e6:.0f} MB); its points are kept in '{kept.name}'")
    faults_before = faults.count
    read = _streamed(path, faults)
    if large and faults.count == faults_before:
        _keep(kept, path, read)
    return read


def kept_name(path: Path) -> Path:
    """Where the columns of a JSON file are kept; the file may be deleted."""
    return path.with_name(f".{path.name}.columns.safetensors")


def _streamed(path: Path, faults: Faults) -> Recorded:
    images = images_of(path)
    place = {image["id"]: i for i, image in enumerate(images)}
    size = np.array([(image["width"], image["height"]) for image in images], dtype=np.int64)
    records = Records([str(image["file_name"]) for image in images], size)
    try:
        with no_collection():
            for record in annotations_of(path):
                points = _points(path, record, place, faults)
                if points is not None:
                    records.add(place[record["image_id"]], record["worker_id"], record.get("id"), points[:, ::-1] - 1)
    except CutShort as reason:
        faults.add("file cut short", f"'{path}'", str(reason))
    read = records.gathered(faults, lambda number: _where(path, number), AXES, named=True, ordered=False)
    return Recorded(**{**vars(read), "sources": {path.name: sha256_file(path)}})


def _where(path: Path, number: Any) -> str:
    return f"'{path}', annotation {short(number)}"


def _points(
    path: Path, record: dict[str, Any], place: dict[Any, int], faults: Faults
) -> Num[np.ndarray, "point 2"] | None:
    """The points of a record as they are written, or None for a bad one that is left out."""
    where = _where(path, record.get("id"))
    missing = [name for name in ("image_id", "worker_id", "fixations") if record.get(name) is None]
    if not missing and not _is_name(record["worker_id"]):
        faults.add("worker without a name", where, f"worker_id {short(record['worker_id'])}")
        return None
    if missing:
        faults.add("record with a missing field", where, f"no {', '.join(missing)}")
        return None
    if not isinstance(record["image_id"], int) or record["image_id"] not in place:
        faults.add("image id that is not in 'images'", where, f"image_id {short(record['image_id'])}")
        return None
    try:
        points = np.array(record["fixations"])
    except (ValueError, OverflowError, RecursionError):
        points = np.array(None)
    if points.size == 0:
        faults.add("worker without points", where, f"worker {short(record['worker_id'])}")
        return None
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind != "i":
        faults.add("points that are no pairs of whole numbers", where, short(record["fixations"], 50))
        return None
    return points


def _is_name(worker: Any) -> bool:
    if isinstance(worker, str):
        return worker.isprintable()
    return type(worker) is int and abs(worker) < 2**63


def _keep(kept: Path, path: Path, read: Recorded) -> None:
    """Write the columns; where the folder cannot be written the JSON is read again each time, which is said."""
    columns = {name: np.ascontiguousarray(getattr(read, name)) for name in COLUMNS}
    about = {
        "format": FORMAT,
        **_state(path),
        "sha256": read.sources[path.name],
        "crc32": _checksums(columns),
        "ids": read.ids,
        "workers": read.workers,
    }
    beside = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    try:
        save_file(columns, beside, metadata={"about": json.dumps(about)})
        move(beside, kept)
    except (OSError, SafetensorError) as reason:
        say(f"warning: '{kept}' could not be written ({reason}); '{path.name}' will be read again each time")
    finally:
        beside.unlink(missing_ok=True)


def _kept(kept: Path, path: Path) -> Recorded | None:
    """The columns if they are whole and those of this file; else None."""
    try:
        with safe_open(kept, framework="numpy") as opened:
            about = json.loads(opened.metadata()["about"])
            if about["format"] != FORMAT:
                return None
            same = {name: about[name] for name in ("size", "mtime_ns")} == _state(path)
            if not same and about["sha256"] != sha256_file(path):
                return None
            columns = {name: opened.get_tensor(name) for name in COLUMNS}
        if about["crc32"] != _checksums(columns):
            raise ValueError("other checksums")
        ids, workers = tuple(map(str, about["ids"])), tuple(map(str, about["workers"]))
        _check_columns(len(ids), len(workers), **columns)
        sources = {path.name: str(about["sha256"])}
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        say(f"warning: '{kept}' is damaged and is made anew")
        return None
    return Recorded(ids=ids, workers=workers, sources=sources, **columns)


def _check_columns(n: int, workers: int, size: Any, x: Any, y: Any, observer: Any, offsets: Any, outside: Any) -> None:
    """Raises ValueError where columns do not fit together, whatever their checksums say."""
    points = len(x)
    fit = (size.shape, y.shape, observer.shape, offsets.shape, outside.shape) == (
        (n, 2), x.shape, x.shape, (n + 1,), (n,),
    )  # fmt: skip
    whole = all(column.dtype.kind == "i" for column in (size, x, y, observer, offsets, outside))
    if not fit or not whole or offsets[0] != 0 or offsets[-1] != points or (np.diff(offsets) < 0).any():
        raise ValueError("columns of other lengths")
    if points and not 0 <= observer.min() <= observer.max() < workers:
        raise ValueError("observers without names")


def _state(path: Path) -> dict[str, int]:
    return {"size": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}


def _checksums(columns: dict[str, np.ndarray]) -> dict[str, int]:
    return {name: zlib.crc32(column.reshape(-1).view(np.uint8).data) for name, column in columns.items()}

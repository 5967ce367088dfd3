"""SALICON's other releases, one file an image: .mat files with every worker, and PNG files of all workers merged.

The .mat files (2015 and 2017, made for the LSUN challenge) hold a struct array `gaze`, one entry a worker, with
`location` (mouse samples), `timestamp` and `fixations`, both [x, y] and 1-based. No such file was at hand: the
format is as pysaliency 0.2.22 reads it (external_datasets/salicon.py). The PNG files were checked on 5,000 of them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Num

from gazetune.data.faults import Faults
from gazetune.data.images import MOST_SIDE_PX, opened_photo
from gazetune.data.matlab import read_matlab
from gazetune.data.recorded import Recorded, Records, check_frame
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_files
from gazetune.progress import track

Gaze = Literal["samples", "fixations"]
Points = Num[np.ndarray, "point 2"]
FIELD: dict[str, str] = {"samples": "location", "fixations": "fixations"}
AXES = "[x, y], counted from 1"
CHUNK = 256


def read_mat(files: Sequence[Path], gaze: Gaze, faults: Faults) -> Recorded:
    """The samples or fixations of .mat files, one an image; observers are numbered anew on each image.

    The files do not name their workers, so nobody is the same person on two images.

    Raises InputError through `faults` for a file that is no such .mat, a worker without the field or without points,
    and points that are no pairs or lie outside their image.
    """
    used: list[Path] = []
    sizes: list[tuple[int, int]] = []
    workers: list[tuple[int, int, Points]] = []
    for path in track(files, "reading .mat files", total=len(files)):
        opened = _opened(path, faults)
        if opened is None:
            continue
        for k, worker in enumerate(opened[1]):
            points = _points(worker, FIELD[gaze], f"'{path}', worker {k + 1}", faults)
            if points is not None:
                workers.append((len(used), k, points - 1))
        used.append(path)
        sizes.append(opened[0])
    records = Records(_photos(used), _sizes(sizes))
    for i, k, points in workers:
        records.add(i, None, (i, k), points)
    read = records.gathered(
        faults, lambda at: f"'{used[at[0]]}', worker {at[1] + 1}", AXES, named=False, ordered=gaze == "fixations"
    )
    return replace(read, sources={"gaze (.mat)": sha256_files(used)})


def read_points(files: Sequence[Path], faults: Faults) -> Recorded:
    """The fixations of PNG files, white where at least one worker fixated: one observer, who is all workers together.

    Raises InputError through `faults` for a file that is no picture, has more than two values, or no point.
    """
    used: list[Path] = []
    sizes: list[tuple[int, int]] = []
    fixated: list[Points] = []
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        starts = range(0, len(files), CHUNK)
        for start in track(starts, f"reading fixation points ({CHUNK} files)", total=len(starts)):
            part = files[start : start + CHUNK]
            for path, found in zip(part, pool.map(_fixated, part), strict=True):
                if isinstance(found, str):
                    faults.add("no picture of fixation points", f"'{path}'", found)
                    continue
                used.append(path)
                sizes.append(found[0])
                fixated.append(found[1])
    records = Records(_photos(used), _sizes(sizes))
    for i, points in enumerate(fixated):
        records.add(i, 0, i, points)
    read = records.gathered(faults, lambda i: f"'{used[i]}'", "one pixel a point", named=True, ordered=False)
    return replace(read, sources={"fixation_points": sha256_files(used)})


def released_density(path: Path) -> Float[np.ndarray, "height width"]:
    """One of SALICON's density maps, 0..1: the fixation points blurred with sigma 19 px at 640x480. Used for checks.

    Raises InputError for a file that is no picture.
    """
    try:
        with opened_photo(path) as opened:
            return np.asarray(opened.convert("L"), dtype=np.float64) / 255
    except InputError as reason:
        raise InputError(f"No density map: {reason} Get it again or take it away.") from None


def _photos(files: Sequence[Path]) -> list[str]:
    return [f"{path.stem}.jpg" for path in files]


def _sizes(sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def _opened(path: Path, faults: Faults) -> tuple[tuple[int, int], list[dict[str, Any]]] | None:
    """(width, height) and the workers of a .mat file, or None for a bad one that is left out."""
    try:
        found = read_matlab(path, simplify_cells=True)
        height, width = (int(side) for side in np.ravel(found["resolution"]))
        check_frame(width, height)
        gaze = [found["gaze"]] if isinstance(found["gaze"], dict) else list(found["gaze"])
        if not all(isinstance(worker, dict) for worker in gaze):
            raise ValueError("'gaze' is no struct array")
    except (InputError, ValueError, KeyError, TypeError, OverflowError) as reason:
        faults.add("no .mat file of SALICON", f"'{path}'", f"{type(reason).__name__}: {short(reason)}")
        return None
    said = Path(str(found.get("image", path.stem))).stem
    if said != path.stem:
        faults.add("file of another image", f"'{path}'", f"its variable 'image' says {said}")
        return None
    return (width, height), gaze


def _points(worker: dict[str, Any], field: str, where: str, faults: Faults) -> Points | None:
    """A worker's points as they are written, or None for a bad record that is left out."""
    if field not in worker:
        faults.add("worker with a missing field", where, f"no '{field}', there is {', '.join(worker)}")
        return None
    try:
        points = np.asarray(worker[field])
    except ValueError:  # cells of different sizes
        points = np.array(None)
    if points.size == 0:
        faults.add("worker without points", where, f"'{field}' is empty")
        return None
    points = points[None] if points.shape == (2,) else points  # MATLAB's 1x2 matrix, squeezed by the reading
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf" or not np.isfinite(points).all():
        faults.add("points that are no pairs of numbers", where, f"shape {points.shape}, {points.dtype}")
        return None
    if (np.abs(points) > MOST_SIDE_PX).any():
        faults.add("points that are no pairs of numbers", where, f"a coordinate above {MOST_SIDE_PX:,}")
        return None
    return points.astype(np.int64) if (points == np.floor(points)).all() else points.astype(np.float32)


def _fixated(path: Path) -> tuple[tuple[int, int], Points] | str:
    """(width, height) and the points (x, y) of a PNG file; or what is wrong with it."""
    try:
        with opened_photo(path) as opened:
            pixels = np.asarray(opened.convert("L"))
    except InputError as reason:
        return str(reason)
    white = np.flatnonzero(pixels)
    if not len(white):
        return "every pixel is black"
    if np.ptp(pixels.reshape(-1)[white]) > 0:
        return "more than two values; a density map?"
    y, x = np.divmod(white, pixels.shape[1])
    return (pixels.shape[1], pixels.shape[0]), np.stack([x, y], axis=1)

"""Files that are there whole or not at all, and their hashes."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gazetune.errors import GazetuneError


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file so that it is there whole or not at all: beside it, to the disk, then renamed over it.

    `content` may come piece by piece.

    Raises GazetuneError where the disk is full or the folder cannot be written; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as opened:
            for piece in (content,) if isinstance(content, bytes) else content:
                opened.write(piece)
            opened.flush()
            os.fsync(opened.fileno())
        move(beside, path)
    except OSError as reason:
        raise not_written(path, reason) from reason
    finally:
        beside.unlink(missing_ok=True)


def not_written(path: Path, reason: Exception) -> GazetuneError:
    """What to say when the disk is full or the folder cannot be written."""
    why = getattr(reason, "strerror", None) or reason
    return GazetuneError(
        f"'{path}' could not be written ({why}). Everything saved before is whole; make room or mend the folder, then "
        f"go on with --resume."
    )


def move(source: Path, target: Path) -> None:
    """Rename a file over another, and have the folder's entry reach the disk too."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256_file(path: Path) -> str:
    """The sha256 of one file, as hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256_files(paths: Sequence[Path]) -> str:
    """One sha256 over the names and contents of several files, in this order."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        each = pool.map(sha256_file, paths)
        return hashlib.sha256("\n".join(f"{h} {p.name}" for h, p in zip(each, paths, strict=True)).encode()).hexdigest()

"""Hashes of files: what provenance records, and what a fetched file is checked against."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def sha256_file(path: Path) -> str:
    """The sha256 of one file, as hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256_files(paths: Sequence[Path]) -> str:
    """One sha256 over the names and contents of several files, in this order."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        each = pool.map(sha256_file, paths)
        return hashlib.sha256("\n".join(f"{h} {p.name}" for h, p in zip(each, paths, strict=True)).encode()).hexdigest()

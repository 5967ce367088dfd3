"""What a fuzzed reader is, and ways to spoil its files that several share."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_mutate as m

WIDTH, HEIGHT = 64, 48
Spoil = Callable[[Path, m.Draw], None]


@dataclass(frozen=True)
class Reader:
    """`write` good files into a folder once; `spoil` a copy of it; `read` it, which may raise GazetuneError only.

    share: of the files, in parts. outside: no file may appear but in the folder `inside`.
    """

    write: Callable[[Path], None]
    spoil: Spoil
    read: Callable[[Path], Any]
    share: int


def one_of(names: str, *how: m.Mutation) -> Spoil:
    """Spoil one of the files that fit a pattern, in one of these ways."""

    def spoil(folder: Path, draw: m.Draw) -> None:
        path = draw.choice(sorted(folder.glob(names)))
        path.write_bytes(draw.choice(how)(path.read_bytes(), draw))

    return spoil


def json_of(content: bytes, draw: m.Draw) -> bytes:
    """A JSON file as a tree."""
    return m.as_json(json.loads(content), draw)


class _Touch:
    """What a pickle that does harm looks like."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickled",)


def pickled() -> bytes:
    """A pickle that makes a folder `pickled` when it is loaded."""
    import pickle

    return pickle.dumps(_Touch())

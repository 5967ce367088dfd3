"""MATLAB files (.mat, version 5 to 7), looked through before scipy reads them: it crashes on some that are damaged.

The layout is MathWorks' (MAT-File Format, "Level 5 MAT-Files"): elements of a type and a length; a matrix is flags,
dimensions, a name and its numbers, and cells and structs hold further matrices. Read are those of numbers and text,
cells and structs; data sets hold nothing else.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from gazetune.documents import short
from gazetune.errors import InputError

MOST_BYTES = 256 << 20  # of a file, and of what it unpacks to
DEEPEST = 20  # cells in cells; scipy follows them without a limit until the process dies
HEADER = 128
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}  # of the types of numbers
MATRIX, PACKED = 14, 15
CELL, STRUCT, TEXT, NUMBERS = 1, 2, 4, range(6, 16)
COMPLEX = 0x08


def read_matlab(path: str | Path, **options: Any) -> dict[str, Any]:
    """The variables of a .mat file by name; `options` are those of scipy.io.loadmat.

    Raises InputError: no such file, another version, damaged, nested more than 20 deep or more than 256 MB unpacked.
    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MB")
        content = file.read_bytes()
        _look_through(content)
        return loadmat(io.BytesIO(content), **options)  # type: ignore[arg-type]
    except Exception as reason:  # scipy raises its own kinds of errors on a damaged file
        raise InputError(
            f"'{path}' cannot be read as a .mat file of MATLAB ({type(reason).__name__}: {short(reason)}). Get it "
            f"again; of version 7.3, save it with -v7."
        ) from None


def _look_through(content: bytes) -> None:
    """Raises ValueError unless every element lies within the one that holds it, with as many numbers as it says."""
    if len(content) < HEADER or content[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise ValueError("no file of MATLAB's version 5 to 7")
    order, left = "<" if content[126:128] == b"IM" else ">", MOST_BYTES
    for kind, data in _elements(memoryview(content)[HEADER:], order):
        if kind == PACKED:
            unpacker = zlib.decompressobj()
            whole = unpacker.decompress(data, left + 1)
            left -= len(whole)
            if left < 0 or not unpacker.eof:
                raise ValueError(f"damaged, or more than {MOST_BYTES >> 20} MB unpacked")
            inside = list(_elements(memoryview(whole), order))
            if len(inside) != 1 or inside[0][0] != MATRIX:
                raise ValueError("something else than one variable is packed")
            _matrix(inside[0][1], order, 0)
        elif kind == MATRIX:
            _matrix(data, order, 0)
        else:
            raise ValueError(f"an element of type {kind} where a variable should be")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; small ones have both in 8 bytes, others are padded to 8 unless packed."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("cut short")
        first, length = struct.unpack_from(f"{order}II", data, at)
        kind, start, following = first, at + 8, at + 8
        if first >> 16:
            kind, length, start = first & 0xFFFF, first >> 16, at + 4
            if length > 4:
                raise ValueError("a small element of more than 4 bytes")
        else:
            following = start + length if kind == PACKED else start + -(-length // 8) * 8
        if start + length > len(data):
            raise ValueError("cut short")
        yield kind, data[start : start + length]
        at = following


def _matrix(data: memoryview, order: str, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if not len(data):
        return  # an empty matrix in a cell
    parts = list(_elements(data, order))
    if len(parts) < 3 or [kind for kind, _ in parts[:3]] != [6, 5, 1] or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise ValueError("a matrix without flags, dimensions or name")
    (flags,), rest = struct.unpack_from(f"{order}I", parts[0][1]), parts[3:]
    sides = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if not 2 <= len(sides) <= 8 or min(sides) < 0 or prod(sides) > MOST_BYTES:
        raise ValueError(f"a matrix of {sides}")
    what, n = flags & 0xFF, prod(sides)
    if what in NUMBERS or what == TEXT:
        _numbers(rest, n, 2 if flags >> 8 & COMPLEX else 1, text=what == TEXT)
        return
    fields = 1
    if what == STRUCT:
        fields, rest = _fields(rest, order), rest[2:]
    elif what != CELL:
        raise ValueError(f"an array of class {what}; read are numbers, text, cells and structs")
    if len(rest) != n * fields or any(kind != MATRIX for kind, _ in rest):
        raise ValueError("other parts than a cell or struct should have")
    for _, inside in rest:
        _matrix(inside, order, depth + 1)


def _numbers(parts: list[tuple[int, memoryview]], n: int, times: int, text: bool) -> None:
    if len(parts) != times or any(kind not in SIZES for kind, _ in parts):
        raise ValueError("numbers of an unknown type")
    for kind, data in parts:
        # characters of UTF-8 have one to four bytes
        fits = n <= len(data) <= 4 * n if text and kind == 16 else len(data) == n * SIZES[kind]
        if not fits and not (text and not len(data)):
            raise ValueError(f"{len(data)} bytes for {n} numbers")


def _fields(parts: list[tuple[int, memoryview]], order: str) -> int:
    """How many fields a struct has."""
    if len(parts) < 2 or parts[0][0] != 5 or len(parts[0][1]) != 4 or parts[1][0] != 1:
        raise ValueError("a struct without names of fields")
    (length,) = struct.unpack(f"{order}i", parts[0][1])
    if not 0 < length <= 64 or len(parts[1][1]) % length:
        raise ValueError(f"names of fields of {length} characters")
    return len(parts[1][1]) // length

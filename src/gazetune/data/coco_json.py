"""Files in COCO's JSON form (images, annotations, categories), read as a stream: they run to a gigabyte."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ijson

from gazetune.data.recorded import check_frame
from gazetune.documents import short
from gazetune.errors import InputError

FIELDS = ("id", "file_name", "width", "height")
TAIL_BYTES = 1 << 20  # COCO's own files end with their categories


DEEPEST, PIECE_BYTES = 1000, 8192
# what is raised for a file that is no JSON; ValueError also for a number of 5,000 digits
UNREADABLE = (ijson.JSONError, OSError, ValueError, OverflowError, RecursionError)


class CutShort(InputError):
    """A JSON file that ends in the middle, or is no JSON; what could be read before has been handed out."""


class Bounded:
    """A file that is read in small pieces and breaks off where it is nested too deep: ijson's paths grow with depth.

    Brackets in texts count too, which is why far more are allowed than any annotation has. One bracket too many on
    either side is no matter; a thousand are.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._depth = path.open("rb"), 0

    def __enter__(self) -> "Bounded":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, n: int) -> bytes:
        """At most `n` bytes. Raises ValueError where more than 1,000 brackets are open."""
        part = self._file.read(min(n, PIECE_BYTES) if n >= 0 else PIECE_BYTES)
        self._depth += part.count(b"[") + part.count(b"{") - part.count(b"]") - part.count(b"}")
        if abs(self._depth) > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST:,} deep")
        return part


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's search for cycles of objects, held back: millions of short lists set it off, each time for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def images_of(path: Path) -> list[dict[str, Any]]:
    """The list `images` (id, file_name, width, height); nothing after it is read.

    Raises InputError for a file without images, CutShort for one that breaks off before their end.
    """
    found: list[dict[str, Any]] = []
    one: dict[str, Any] = {}
    try:
        with Bounded(path) as opened:
            for place, event, value in ijson.parse(opened, use_float=True):
                if place == "images.item" and event == "start_map":
                    one = {}
                elif place == "images.item" and event == "end_map":
                    found.append(one)
                elif place.startswith("images.item.") and place[12:] in FIELDS:
                    one[place[12:]] = value if event in ("number", "string") else None
                elif place == "images" and event == "end_array":
                    break
    except UNREADABLE as reason:
        raise _cut_short(path, "images", len(found), found[-1].get("id") if found else None, reason) from None
    bad = [one for one in found if not _is_image(one)]
    if bad or not found:
        what = f"one of them lacks a field or has what it cannot be: {short(bad[0], 300)}" if bad else "it has none"
        raise InputError(f"'{path}' needs a list 'images' with {', '.join(FIELDS)} each; {what}.")
    if len({one["id"] for one in found}) < len(found):
        raise InputError(f"'{path}': every image must have an id of its own; two of its {len(found)} share one.")
    return found


def _is_image(one: dict[str, Any]) -> bool:
    """Whether an image has its fields: whole numbers, a name, and sides that a photo can have."""
    if not all(type(one.get(field)) is (str if field == "file_name" else int) for field in FIELDS):
        return False
    try:
        check_frame(one["width"], one["height"])
        one["file_name"].encode()
    except ValueError:
        return False
    return bool(one["file_name"]) and abs(one["id"]) < 2**63


def annotations_of(path: Path) -> Iterator[dict[str, Any]]:
    """The records of the list `annotations`, one after the other.

    Raises InputError for something else than records, CutShort where the file breaks off.
    """
    number, last = 0, None
    try:
        with Bounded(path) as opened:
            for record in ijson.items(opened, "annotations.item", use_float=True):
                if not isinstance(record, dict):
                    raise InputError(
                        f"'{path}': every entry of 'annotations' must be a record, got {short(record, 60)}."
                    )
                number, last = number + 1, record.get("id")
                yield record
    except UNREADABLE as reason:
        raise _cut_short(path, "annotations", number, last, reason) from None
    if not number:
        raise InputError(f"'{path}' has no list 'annotations', or an empty one.")


def categories_of(path: Path) -> dict[int, str]:
    """Category number -> name. Raises InputError where there are none (captions have none)."""
    found = _at_the_end(path)
    if found is None:
        try:
            with Bounded(path) as opened:
                found = list(ijson.items(opened, "categories.item", use_float=True))
        except UNREADABLE as reason:
            raise _cut_short(path, "annotations", None, None, reason) from None
    try:
        named = {int(one["id"]): str(one["name"]).encode().decode() for one in found}  # half characters: ValueError
        named = named if len(named) == len(found) else {}
    except (TypeError, KeyError, ValueError, OverflowError, RecursionError):
        named = {}
    if not named:
        raise InputError(
            f"'{path}' has no 'categories' with a name and an id of its own each; needed: instances_*.json of COCO."
        )
    return named


def _at_the_end(path: Path) -> list[Any] | None:
    """The categories where they are the last thing in the file, without reading what is before."""
    with path.open("rb") as opened:
        opened.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = opened.read().decode("utf-8", errors="replace")
    _, found, rest = tail.rpartition('"categories"')
    if not found or not rest.lstrip().startswith(":"):
        return None
    try:
        listed, end = json.JSONDecoder().raw_decode(rest.lstrip()[1:].lstrip())
    except (ValueError, RecursionError):
        return None
    is_last = rest.lstrip()[1:].lstrip()[end:].strip() == "}"
    return listed if is_last and isinstance(listed, list) else None


def _cut_short(path: Path, what: str, number: int | None, last: Any, reason: Exception) -> CutShort:
    read = "" if number is None else f" {number:,} {what} could be read, the last with id {short(last)}."
    why = short(str(reason).split("\n", 1)[0] or type(reason).__name__)
    return CutShort(f"'{path}' is no JSON or is cut short ({why}).{read} Get the file again.")

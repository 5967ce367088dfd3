"""YAML and JSON that others wrote, read whole: bounded in size and depth, with one kind of error."""

import json
from pathlib import Path
from typing import Any

import yaml

from gazetune.errors import InputError

MOST_BYTES = 4 << 20  # of a YAML file; an experiment has a few kilobytes
DEEPEST = 50  # levels of nesting
MOST_NODES = 100_000  # of a YAML file with its aliases written out
SHOWN = 100  # characters of a foreign value in a message


def read_yaml(path: Path) -> Any:
    """What a YAML file says, plain values only. Raises InputError naming the file, as `parse_yaml`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"'{path}' has {path.stat().st_size:,} bytes; settings have at most {MOST_BYTES:,}.")
        text = path.read_text("utf-8")
    except (OSError, ValueError) as reason:
        raise InputError(f"'{path}' cannot be read as text in UTF-8 ({reason}).") from None
    return parse_yaml(text, f"'{path}'")


def parse_yaml(text: str, name: str) -> Any:
    """What a YAML text says; `name` is what an error calls it.

    Raises InputError: no YAML, nested more than 50 deep, more than 100,000 nodes once aliases are written out (ten
    lists of ten aliases each, ten levels deep, would be 10 billion), or a tag of Python's own.
    """
    try:
        _look_over(text, name)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as reason:  # ValueError: a 30th of February
        raise InputError(f"{name} is not valid YAML: {short(reason, 500)}") from None


def _look_over(text: str, name: str) -> None:
    """Raises InputError for what is nested or multiplied too much, before anything is built."""
    sizes: list[int] = [0]
    open_anchors: list[str | None] = []
    of_anchor: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in of_anchor:
                raise InputError(f"{name}: '*{short(event.anchor)}' stands inside itself or for nothing.")
            sizes[-1] += of_anchor[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            event.value.encode()  # half of a character, written as an escape, is no text: ValueError
            of_anchor |= {event.anchor: 1} if event.anchor else {}
            sizes[-1] += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), open_anchors.pop()
            of_anchor |= {anchor: size} if anchor else {}
            sizes[-1] += size
        if len(sizes) > DEEPEST or sizes[-1] > MOST_NODES:
            raise InputError(f"{name} is nested more than {DEEPEST} deep or has more than {MOST_NODES:,} values.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object. Raises InputError naming one that is damaged or holds something else."""
    try:
        found = json.loads(path.read_text("utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # half of a character, written as an escape, is no text
    except (OSError, ValueError, RecursionError) as reason:
        raise InputError(f"'{path}' is damaged or missing ({short(reason)}).") from None
    if not isinstance(found, dict):
        raise InputError(f"'{path}' must hold a JSON object, got {short(found)}.")
    return found


def short(value: Any, most: int = SHOWN) -> str:
    """A foreign value for a message: cut where it is long, and never an error of its own."""
    try:
        text = str(value) if isinstance(value, str | Exception) else repr(value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__} that is nested too deep or too long to be shown"
    text = text or type(value).__name__
    return text if len(text) <= most else f"{text[: most - 4]} ..."

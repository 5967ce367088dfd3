"""A user's own code, named as `FILE.py:NAME` or `module:NAME`: it runs only where it was allowed (--allow-code)."""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetune.errors import InputError
from gazetune.files import sha256_file

NAMED = re.compile(r"(?P<place>.+?\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(?:@(?P<folder>.+))?")
_allowed = False  # whether the user of this process trusts the code that is named


@dataclass(frozen=True)
class Code:
    """What a name of code says. place: a file or a module. name: what to take of it. folder: what to hand it."""

    place: str
    name: str
    folder: str | None = None

    def __str__(self) -> str:
        return f"{self.place}:{self.name}" + (f"@{self.folder}" if self.folder else "")


def allow(yes: bool) -> None:
    """Whether code that is named from here on, in this process, may run: what --allow-code says."""
    global _allowed
    _allowed = yes


def code_named(text: str) -> Code | None:
    """What `FILE.py:NAME`, `module:NAME`, or either with `@FOLDER` after it, names; None for any other text."""
    found = NAMED.fullmatch(text)
    return Code(found["place"], found["name"], found["folder"]) if found else None


def whole(text: str) -> str:
    """Such a name with its file and folder as absolute paths, where they exist; other text as it is."""
    code = code_named(text)
    if code is None:
        return text
    there = [p if p is None or not Path(p).expanduser().exists() else str(Path(p).expanduser().absolute())
             for p in (code.place, code.folder)]  # fmt: skip
    return str(Code(there[0] or code.place, code.name, there[1]))


def run_code(code: Code, what: str, allowed: bool | None = None) -> tuple[Any, str]:
    """What the code calls by that name (None: nothing), and the sha256 of its file ("" for a module without one).

    `what`: the metric, the model: for the error. `allowed`: in place of what `allow` said.

    Raises:
        InputError: it is not allowed (nothing was run then), the file or module does not exist, or it fails.
    """
    if not (_allowed if allowed is None else allowed):
        raise InputError(f"The {what} '{code}' is code of your own. If you trust it, run again with --allow-code.")
    module, path = _imported(code.place)
    return getattr(module, code.name, None), sha256_file(path) if path else ""


def _imported(place: str) -> tuple[object, Path | None]:
    try:
        if place.endswith(".py"):
            path = Path(place).expanduser()
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise InputError(f"The file '{place}' does not exist.")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module, path
        module = importlib.import_module(place)
        return module, Path(module.__file__) if module.__file__ else None
    except InputError:
        raise
    except Exception as reason:  # whatever a user's own code raises
        raise InputError(f"'{place}' could not be loaded: {type(reason).__name__}: {reason}") from reason

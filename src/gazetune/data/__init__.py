"""What people saw and where they looked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gazetune.data.osie import load_osie
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.data.stimuli import Stimuli
from gazetune.data.table import load_table

__all__ = ["OPTIONS", "READERS", "Stimuli", "load_osie", "load_salicon", "load_table", "read"]

# a data set on disk: a folder (or file) in, Stimuli out
READERS: dict[str, Callable[..., Stimuli]] = {"osie": load_osie, "salicon": load_salicon, "table": load_table}
# the settings of readers that have some: such a reader takes (path, options, skip_bad)
OPTIONS: dict[str, type[BaseModel]] = {"salicon": Salicon}


def read(kind: str, path: str | Path, options: Mapping[str, Any] | None = None, skip_bad: bool = False) -> Stimuli:
    """A data set by the name of its reader, with the reader's own settings where it has any.

    Raises pydantic's ValidationError for options that it does not have, and InputError as the reader does.
    """
    if kind not in OPTIONS:
        return READERS[kind](Path(path))
    return READERS[kind](Path(path), OPTIONS[kind].model_validate(options or {}), skip_bad)

"""What people saw and where they looked."""

from collections.abc import Callable
from pathlib import Path

from gazetune.data.osie import load_osie
from gazetune.data.stimuli import Stimuli
from gazetune.data.table import load_table

__all__ = ["READERS", "Stimuli", "load_osie", "load_table"]

# a data set on disk: a folder (or file) in, Stimuli out
READERS: dict[str, Callable[[Path], Stimuli]] = {"osie": load_osie, "table": load_table}

"""CSV files as anyone may bring them: one place that reads them, and one kind of error for all that is wrong."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from gazetune.documents import short
from gazetune.errors import InputError

# a packed table that unpacks to more than both is a bomb: text of fixations packs to a fifth, not to a hundredth
BOMB_BYTES, BOMB_RATIO = 200_000_000, 100
CHUNK = 1 << 20


def read_csv(path: str | Path, called: str = "", **options: Any) -> pd.DataFrame:
    """A CSV in UTF-8, plain or, where its name ends in .gz, packed by gzip.

    Args:
        called: what an error calls it, by default its path. options: of pandas.read_csv.

    Raises:
        InputError: no such file, no CSV, another encoding, damaged, or a bomb (see BOMB_BYTES).
    """
    file = Path(path).expanduser()
    packed = file.suffix == ".gz"
    try:
        if packed:
            _refuse_bomb(file)
        return pd.read_csv(file, compression="gzip" if packed else None, **options)
    except (ValueError, OSError, EOFError, OverflowError, zlib.error, pd.errors.ParserError, TypeError) as reason:
        raise InputError(
            f"{called or repr(str(path))} cannot be read as a CSV ({short(reason, 200)}). Needed: text in UTF-8 with "
            f"commas."
        ) from None


def _refuse_bomb(path: Path) -> None:
    size, found = path.stat().st_size, 0
    with gzip.open(path) as opened:
        while part := opened.read(CHUNK):
            found += len(part)
            if found > BOMB_BYTES and found > BOMB_RATIO * size:
                raise InputError(
                    f"'{path}' ({size:,} bytes) unpacks to more than {BOMB_RATIO} times its size, as no table of "
                    f"fixations does. Unpack it yourself if you trust it."
                )

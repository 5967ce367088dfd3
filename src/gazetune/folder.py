"""Where a run lies and who is at work on it. Imports next to nothing, so that a second run is refused at once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gazetune import processes
from gazetune.errors import GazetuneError, InputError


def default_folder(name: str, seeds: Sequence[int]) -> Path:
    """Where the run of an experiment goes if nobody says otherwise."""
    return Path("runs") / f"{name}-s{'-'.join(map(str, seeds))}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory for this process. Raises InputError at once if another living process holds it.

    The system lets go of the lock when its process ends, however it ends, so none is ever left behind.
    """
    owner, lock = folder / ".process", FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        who = owner.read_text() if owner.is_file() else "unknown"
        raise InputError(
            f"Another gazetune run (process {who}) is at work on '{folder}'. Wait for it, or choose another --output."
        ) from None
    except OSError as reason:
        raise GazetuneError(
            f"'{folder}' could not be written ({reason.strerror}). Mend the folder, or choose another --output."
        ) from reason
    try:
        with suppress(OSError):  # only for the message to others; a full disk must not keep a run from being resumed
            owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def refuse_if_busy(folder: Path) -> None:
    """Raises InputError if another living process holds the run directory.

    Of several processes of one run none asks: the main one may hold it by then.
    """
    if processes.launched() == 1 and (folder / ".lock").is_file():
        with locked(folder):
            pass

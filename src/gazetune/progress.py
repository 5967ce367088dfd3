"""Progress with time left on stderr: a bar in a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gazetune import processes

T = TypeVar("T")
LINE_EVERY_SECONDS = 15.0


def say(message: str) -> None:
    """One line to stderr, for the person who waits; of several processes, the main one speaks."""
    if processes.is_main():
        print(visible(message), file=sys.stderr, flush=True)


def visible(message: str) -> str:
    """A message without what would steer a terminal: the names in it are other people's."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message)


def track(items: Iterable[T], what: str, total: int, done: int = 0, note: list[str] | None = None) -> Iterator[T]:
    """The items, with progress shown while they are worked through.

    Args:
        items: what is still to be done. total: all of it, in the same unit. done: how much was done before (resume).
        note: a list whose last entry is shown beside the progress, such as the current loss.
    """
    if not processes.is_main():
        yield from items
        return
    if not sys.stderr.isatty():
        yield from _plain(items, what, total, done, note)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done, note="")
        for item in items:
            yield item
            bar.update(task, advance=1, note=note[-1] if note else "")


def track_all(items: Sequence[T], what: str) -> Iterator[T]:
    """All of the items, with progress shown while they are worked through."""
    return track(items, what, total=len(items))


def _plain(items: Iterable[T], what: str, total: int, done: int, note: list[str] | None) -> Iterator[T]:
    start = said = time.monotonic()
    for i, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= LINE_EVERY_SECONDS:
            said = now
            left = (total - done - i) * (now - start) / i
            say(f"{what}: {done + i}/{total}, {left:.0f} s left{', ' + note[-1] if note else ''}")

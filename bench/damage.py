"""Damage every file of a small run, one at a time, go on with it, and compare every file with the undisturbed run's.

Each file is cut short and has one bit turned over, at a place drawn by seed: in a run that was killed while it trained
(its state and its best weights), and in a finished one (of its figures, which take long to make again, each file has
one of the two). It must end either with every file as in the undisturbed run (what was damaged is made again, which is
said), or with exit 2 and a message that names the file; never with another result.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from small_run import Reference, Row, Started, artefacts, differing, lane, lanes

UNSEEN = ("log.jsonl",)  # no result is computed from it; docs/RELIABILITY.md
TRAINING, FINISHED = "killed in training", "finished"
AGAIN, NAMED, UNUSED = "made again, every file as before", "named, exit 2", "not used, every file as before"


class Case(NamedTuple):
    """One file of a run in one of two states, and what is done to it."""

    state: str
    start: Path
    name: str
    kind: str


def cut(content: bytes, draw: random.Random) -> bytes:
    """The end is gone."""
    return content[: draw.randrange(len(content))]


def one_bit(content: bytes, draw: random.Random) -> bytes:
    """One bit of one byte is turned over."""
    found = bytearray(content)
    found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {"cut short": cut, "one bit": one_bit}


def cases(reference: Reference, stopped: Path, seed: int, files: int | None) -> list[Case]:
    """What is damaged, and how; only so many files with `files`."""
    found = []
    for state, start in ((TRAINING, stopped), (FINISHED, reference.place)):
        for number, name in enumerate(name for name in artefacts(start / "run") if _has_content(start, name)):
            kinds = list(DAMAGE)
            if name.startswith("figures/"):
                kinds = [kinds[(number + seed) % 2]]
            found += [Case(state, start, name, kind) for kind in kinds]
    if files is None:
        return found
    draw = random.Random(seed)
    return [case for part in (TRAINING, FINISHED)
            for case in draw.sample([c for c in found if c.state == part], files)]  # fmt: skip


def _has_content(start: Path, name: str) -> bool:
    return (start / "run" / name).stat().st_size > 0


def resumed(reference: Reference, seed: int, case: Case) -> tuple[Case, str]:
    """Damage one file and go on; the case and what became of the run."""
    place = lane(reference.place.parent)
    shutil.copytree(case.start / "run", place / "run")
    path = place / "run" / case.name
    path.write_bytes(DAMAGE[case.kind](path.read_bytes(), random.Random(f"{seed} {case.name} {case.kind}")))
    process = Started(place)
    code, said = process.wait(), process.said()
    if code == 2:
        known = path.name in said or path.parent.name in said
        return case, NAMED if known else f"NOT NAMED: {said[-500:]}"
    if code != 0:
        return case, f"FAILED with exit {code}: {said[-500:]}"
    wrong = different(place / "run", reference)
    if wrong:
        return case, f"DIFFERENT: {', '.join(wrong)}"
    return case, AGAIN if path.name in said or "again, because" in said else UNUSED


def different(folder: Path, reference: Reference) -> list[str]:
    """The files that are not as in the undisturbed run, but for those from which no result is computed."""
    return [name for name in differing(folder, reference.files) if name not in UNSEEN]


def stopped_in_training(reference: Reference) -> Path:
    """A run that was killed when its first training had a state to go on from and best weights."""
    place = reference.place.parent / "stopped"
    place.mkdir()
    process = Started(place)
    log = place / "run" / "log.jsonl"
    process.wait(lambda: log.is_file() and log.read_text().count('"validation"') >= 3)
    process.kill()
    return place


def damage(reference: Reference, stopped: Path, seed: int, workers: int, files: int | None = None) -> list[Row]:
    """All cases; one row for each kind of damage in each of the two states. stopped: see `stopped_in_training`."""
    wanted = cases(reference, stopped, seed, files)
    return _rows(lanes(partial(resumed, reference, seed), wanted, workers, "damaged runs"), seed)


def _rows(ended: Iterable[tuple[Case, str]], seed: int) -> list[Row]:
    found: dict[tuple[str, str], Counter[str]] = {(s, k): Counter() for s in (TRAINING, FINISHED) for k in DAMAGE}
    failures: dict[tuple[str, str], list[str]] = {key: [] for key in found}
    for case, what in ended:
        key = (case.state, case.kind)
        found[key][what if what in (AGAIN, NAMED, UNUSED) else "failed"] += 1
        if what not in (AGAIN, NAMED, UNUSED):
            failures[key].append(f"seed {seed}, {case.state}, {case.name}, {case.kind}: {what}")
    return [
        Row("damage", f"{state}: {kind}", sum(counts.values()), "; ".join(f"{n} {what}" for what, n in counts.items()),
            tuple(failures[state, kind]))
        for (state, kind), counts in found.items() if counts
    ]  # fmt: skip

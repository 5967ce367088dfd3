"""Kill small runs with SIGKILL again and again, go on each time, and compare every file with the undisturbed run's.

A run is killed at several moments, each time while it goes on after the kill before, and then goes on to its end. The
moments are processor seconds of the undisturbed run, so that a seed means the same on a busy machine: drawn uniformly
over its whole duration; then so many more in each kind of stage, drawn uniformly within it, since some are short; and
at some moments a state of a training is half written. Which stage a kill struck is read from the run's record.
"""

import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from small_run import GROUPS, Reference, Row, Started, differing, done_stages, lane, lanes

PER_RUN = 6
START, CHECKING, ENDED = "before the first stage", "while finished stages were checked", "(it had ended)"
CHECKPOINT = -1.0  # in place of a moment
MOST_MISSES = 40
HALF_WRITTEN = "in a half-written checkpoint"


@dataclass
class Struck:
    """One run: what each kill struck, and the files that differ in the end."""

    stages: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def moments(reference: Reference, kills: int, in_each: int, in_checkpoints: int, seed: int) -> list[list[float]]:
    """The moments of each run, rising; the kills in checkpoints come first, since a training is needed for them."""
    draw = random.Random(seed)
    drawn = [draw.uniform(0, reference.took) for _ in range(kills)]
    ends = (*reference.began[1:], reference.took)
    parts: dict[str, list[tuple[float, float]]] = {}
    for stage, begin, end in zip(reference.order, reference.began, ends, strict=True):
        parts.setdefault(group(stage), []).append((begin, max(end, begin + 0.01)))
    for spans in parts.values():
        lengths = [end - begin for begin, end in spans]
        drawn += [draw.uniform(*draw.choices(spans, lengths)[0]) for _ in range(in_each)]
    draw.shuffle(drawn)
    runs = [sorted(drawn[at : at + PER_RUN]) for at in range(0, len(drawn), PER_RUN)] or [[]]
    for number in range(in_checkpoints):
        runs[number % len(runs)].insert(0, CHECKPOINT)
    return runs


def group(stage: str) -> str:
    """The kind of a stage."""
    return GROUPS[stage.partition("/")[0]]


def torment(reference: Reference, aims: Sequence[float]) -> Struck:
    """One run, killed at these moments and then gone on with to its end."""
    place, struck = lane(reference.place.parent), Struck()
    for aim in aims:
        if aim == CHECKPOINT:
            struck.stages.append(_in_checkpoint(place))
        else:
            struck.stages.append(_at(place, aim, reference))
    last = Started(place)
    code = last.wait()
    struck.wrong = [f"exit {code}: {last.said()[-500:]}"] if code else differing(place / "run", reference.files)
    return struck


def _at(place: Path, aim: float, reference: Reference) -> str:
    """Kill when the run has come as far as the undisturbed one at `aim`; what was struck."""
    done = done_stages(place)
    left = [begin for stage, begin in zip(reference.order, reference.began, strict=True) if stage not in done]
    # what is done need not be done again, but for the training that goes on from its last state
    seconds = aim if not done else max(0.0, aim - left[0]) + reference.going_on if left else aim
    process = Started(place)
    if process.wait(lambda: process.seconds() >= seconds) is not None:
        return ENDED if process.code == 0 else f"exit {process.code}: {process.said()[-300:]}"
    process.kill()
    return _struck(place, done, process.said(), reference.order)


def _struck(place: Path, before: Sequence[str], said: str, order: Sequence[str]) -> str:
    after = done_stages(place)
    kept = said.count(": done before, kept")
    if not after and not (place / "run" / "provenance.json").is_file():
        return START
    if len(after) == len(before) and kept < len(before):
        return CHECKING
    left = [stage for stage in order if stage not in after]
    return group(left[0]) if left else ENDED


def _in_checkpoint(place: Path) -> str:
    """Kill while the state of a training is half written; a miss is gone on from."""
    for _ in range(MOST_MISSES):
        process = Started(place)
        parts = [place / "run" / "checkpoints" / f"{m}-s42" / ".resume.safetensors.part" for m in ("tuned", "control")]
        while process.poll() is None:
            if any(part.exists() for part in parts):
                process.kill(signal.SIGKILL)
                break
        if any(part.exists() for part in parts):
            return HALF_WRITTEN
        if process.code == 0:
            return ENDED
    return "no checkpoint could be caught half written"


def kill(reference: Reference, kills: int, in_each: int, in_checkpoints: int, seed: int, workers: int) -> list[Row]:
    """All runs; a row for each kind of stage that was struck, and one for the files in the end."""
    runs = moments(reference, kills, in_each, in_checkpoints, seed)
    struck = list(lanes(partial(torment, reference), runs, workers, "killed runs"))
    counts = Counter(stage for one in struck for stage in one.stages)
    known = [START, *dict.fromkeys(GROUPS.values()), CHECKING, HALF_WRITTEN, ENDED]
    rows = [Row("kills", stage, counts[stage], "gone on with", ()) for stage in known if counts[stage]]
    rows += [Row("kills", "not as it should be", n, "", (what,)) for what, n in counts.items() if what not in known]
    wrong = tuple(f"seed {seed}: {', '.join(one.wrong)}" for one in struck if one.wrong)
    end = "every file as in the undisturbed run"
    return [
        *rows,
        Row("kills", f"in all {sum(counts.values()) - counts[ENDED]}, of this many runs", len(runs), end, wrong),
    ]

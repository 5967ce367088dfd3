"""Is a number of the paper reproduced? A written rule of sign, overlap of intervals and n (docs/reproduce.md)."""

import math
from typing import Literal

from gazetune.report.found import Ours
from gazetune.report.published import Interval, Published
from gazetune.statistics.bayes import jeffreys

Word = Literal["reproduced", "same direction", "differs", "undecided", "not compared", "not run"]
WORDS: tuple[Word, ...] = ("reproduced", "same direction", "differs", "undecided", "not compared", "not run")
SAME_N = 0.1  # n may differ by this share
ALPHA = 0.05
TELLING = 3.0  # a Bayes factor of this much, either way, has a direction
Verdict = tuple[Word, str]


def verdict(theirs: Published, ours: Ours | str) -> Verdict:
    """The word and the reason for it. `ours` in words: why the run has no such number.

    A run of the same data, weights and kind of map is held to the paper's value. Any other is asked for the direction
    of an effect alone, and only where its own interval leaves no doubt about it; else it is undecided. What has no
    direction is not compared across data. Not run is what the run has no number for.
    """
    if isinstance(ours, str):
        return "not run", ours
    other = bool(differences(theirs, ours))
    if theirs.judge == "setting":
        return _equal(theirs, ours)
    if theirs.judge == "count":
        return (
            ("not compared", "a count is compared on the paper's data and weights alone")
            if other
            else _equal(theirs, ours)
        )
    if theirs.judge in ("p", "no_effect"):
        return ("not compared", "p depends on data and n: see the effect") if other else _significance(theirs, ours)
    if theirs.judge == "evidence":
        return _evidence(theirs, ours, other)
    if theirs.judge == "level":
        return _level(theirs, ours, other)
    if theirs.judge == "every":
        return _every(theirs, ours, other)
    return _effect(theirs, ours, other)


def differences(theirs: Published, ours: Ours) -> list[str]:
    """What makes ours another number than the paper's: data, weights, kind of map, tuning, or n by more than 10 %."""
    if theirs.n is None or ours.n is None or abs(ours.n / theirs.n - 1) <= SAME_N:
        return list(ours.other)
    return [*ours.other, f"n = {ours.n:,}, not {theirs.n:,}"]


def _equal(theirs: Published, ours: Ours) -> Verdict:
    close = math.isclose(ours.value, theirs.value, rel_tol=1e-9)
    if close or (theirs.within is not None and abs(ours.value - theirs.value) <= theirs.within):
        return "reproduced", "equal"
    return "differs", "another value"


def _significance(theirs: Published, ours: Ours) -> Verdict:
    """A printed bound must hold; where the paper finds no effect, p must be at least .05."""
    if theirs.judge == "no_effect":
        fits, what = ours.value >= ALPHA, f"p {'>=' if ours.value >= ALPHA else '<'} {ALPHA}"
    else:
        fits, what = ours.value < theirs.value, f"p {'<' if ours.value < theirs.value else '>='} {theirs.printed}"
    return ("reproduced" if fits else "differs"), what


def _evidence(theirs: Published, ours: Ours, other: bool) -> Verdict:
    """A Bayes factor: the same word of Jeffreys', or the same side of 1."""
    if math.isnan(ours.value):
        return "not run", "no Bayes factor"
    mine, word = (jeffreys(math.log(x) if x > 0 else -math.inf) for x in (ours.value, theirs.value))
    if not other and mine == word:
        return "reproduced", word
    if other and 1 / TELLING < ours.value < TELLING:
        return "undecided", "a Bayes factor between 1/3 and 3 has no direction"
    same = (ours.value > 1) == (theirs.value > 1)
    return ("same direction" if same else "differs"), f"{mine}; the paper's: {word}"


def _level(theirs: Published, ours: Ours, other: bool) -> Verdict:
    """A mean or an accuracy has no direction, so it says nothing on other data."""
    if ours.other:
        return "not compared", "a level is not compared across data, weights or kinds of map"
    if not _overlap(_interval(ours), _required(theirs)):
        return "differs", "the intervals do not overlap"
    return ("undecided", "the intervals overlap, n is another") if other else ("reproduced", "intervals overlap")


def _every(theirs: Published, ours: Ours, other: bool) -> Verdict:
    """A claim of each image or category: one that does not follow it is enough, on whatever data."""
    if ours.value < theirs.value:
        return "differs", f"not all: {theirs.value - ours.value:.3g} % did not gain, where the paper says that all did"
    return ("same direction" if other else "reproduced"), "all of them"


def _effect(theirs: Published, ours: Ours, other: bool) -> Verdict:
    """Effects, and claims of the form `above`, `below` or `within`."""
    mine, direction = _direction(_interval(ours), theirs.null), _claimed(theirs)
    if not other:
        if _holds(theirs, ours) and mine == direction:
            return "reproduced", "direction, and overlap" if theirs.judge == "effect" else "the claim holds"
        if mine == direction and direction:
            return "same direction", "of another size"
        return (
            "differs",
            "in direction" if mine == -direction != 0 else f"direction {_sign(mine)}, not {_sign(direction)}",
        )
    if not direction:
        return "not compared", "the paper finds no direction here, which is not compared across data or n"
    if not mine:
        return "undecided", f"the interval of ours includes {theirs.null:g}"
    return ("same direction", "direction alone") if mine == direction else ("differs", "the other direction")


def _sign(direction: int) -> str:
    return {1: "above", -1: "below", 0: "undecided"}[direction]


def _claimed(theirs: Published) -> int:
    """The direction of the paper's effect: 1, -1, or 0 where its interval includes no effect."""
    if theirs.judge == "within":
        return 0
    if theirs.judge == "above":
        return 1
    return -1 if theirs.judge == "below" else _direction(_required(theirs), theirs.null)


def _holds(theirs: Published, ours: Ours) -> bool:
    low, high = _interval(ours)
    if theirs.judge == "effect":
        return _overlap((low, high), _required(theirs))
    if theirs.judge == "within":
        return _overlap((low, high), (-theirs.value, theirs.value))
    return ours.value > theirs.value if theirs.judge == "above" else ours.value < theirs.value


def _interval(ours: Ours) -> Interval:
    return ours.interval or (ours.value, ours.value)


def _required(theirs: Published) -> Interval:
    return theirs.interval or (theirs.value, theirs.value)


def _direction(interval: Interval, null: float) -> int:
    return 1 if interval[0] > null else -1 if interval[1] < null else 0


def _overlap(a: Interval, b: Interval) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]

"""What a piece of work takes, for the scripts of this folder: times of one call or of several in turn, peak memory."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Clock = Callable[[], float]


def seconds(function: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Wall time of one call; with time.process_time, the processor time of all threads."""
    start = clock()
    function()
    return clock() - start


def in_turn(rounds: int, *functions: Callable[[], object], clock: Clock = time.perf_counter) -> list[list[float]]:
    """Seconds of each function in each round; in a round they take turns, so that a busy machine slows all of them."""
    found: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for taken, function in zip(found, functions, strict=True):
            taken.append(seconds(function, clock))
    return found


def spread(values: list[float], digits: int) -> str:
    """Median, and the lowest and highest."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def shown(name: str, taken: list[float]) -> float:
    """Print the spread of seconds an image, in milliseconds; returns the median in seconds."""
    low, q1, middle, q3, high = 1e3 * np.quantile(taken, [0, 0.25, 0.5, 0.75, 1])
    print(f"{name:6} {middle:8.2f} ms an image   quartiles {q1:.2f} to {q3:.2f}   range {low:.2f} to {high:.2f}")
    return float(middle / 1e3)


def peak_bytes() -> int:
    """Peak memory of this process alone (Linux).

    What getrusage tells may be the peak of the process that started this one, if that was higher.
    """
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("/proc/self/status has no VmHWM: peak memory is measured on Linux only")
    return int(found[1]) * 1024

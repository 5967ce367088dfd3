"""Interrupt small runs in every other way, go on, and compare every file with the undisturbed run's.

A full disk and a read-only folder are made with a file system of their own where the machine lets a user have one
(unshare), so that they are the real errors of the system; everywhere by a limit on the size of files. Ctrl-C and a
polite end come at moments drawn by seed. A download comes from a server here, damaged on its way.
"""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import downloads
from small_run import Reference, Row, Started, differing, done_stages, lane, lanes

SAME = "every file as in the undisturbed run"
FILE_BYTES = (1_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
DISK_MB = (1, 3)
# a disk of so many MB that fills up, or that is read-only all at once; then room is made, and it goes on
FULL = """mount -t tmpfs -o size={mb}m tmpfs run && {python} -m gazetune {line}; echo "exit $?" >&2
mount -o remount,size=100m run && {python} -m gazetune {line}; echo "exit $?" >&2; cp -r run out"""
READ_ONLY = """mount -t tmpfs -o size=100m tmpfs run && cp -r {start}/. run && mount -o remount,ro run
{python} -m gazetune {line}; echo "exit $?" >&2
mount -o remount,rw run && {python} -m gazetune {line}; echo "exit $?" >&2; cp -r run out"""
Outcome = tuple[str, str, str]  # what, how it ended, what is wrong


def small_files(reference: Reference, most_bytes: int) -> Outcome:
    """No file can grow beyond a size; then it can."""
    place = lane(reference.place.parent)
    process = Started(place, most_bytes=most_bytes)
    code, said = process.wait(), process.said()
    wrong = ""
    if (
        code not in (0, 1)
        or "Traceback" in said
        or (code and "could not be written" not in said and "too large" not in said)
    ):
        wrong = f"files of {most_bytes:,} bytes: exit {code}: {said[-500:]}"
    wrong = wrong or _gone_on_with(place, reference)
    return "no file larger than 1 kB to 1 MB", f"file named, exit 1; then {SAME}", wrong


def _gone_on_with(place: Path, reference: Reference) -> str:
    """Go on to the end; what is wrong with the files, or nothing."""
    process = Started(place)
    if process.wait():
        return f"going on: exit {process.code}: {process.said()[-500:]}"
    return ", ".join(differing(place / "run", reference.files))


def stopped(reference: Reference, moment: tuple[float, int]) -> Outcome:
    """Ctrl-C or SIGTERM after so many processor seconds; sooner where the run was faster than that."""
    seconds, number = moment
    place, process, code = _struck(reference, seconds, number)
    while code in (0, -number) and done_stages(place) == reference.order:  # it had done all before the signal came
        seconds *= 0.8
        place, process, code = _struck(reference, seconds, number)
    said = process.said()
    wrong = "" if code == 130 and "saved" in said and "Traceback" not in said else f"exit {code}: {said[-500:]}"
    what = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    return what, f"saved, exit 130; then {SAME}", wrong or _gone_on_with(place, reference)


def _struck(reference: Reference, seconds: float, number: int) -> tuple[Path, Started, int]:
    """A run in a place of its own that got a signal after so many processor seconds, and its exit code."""
    place = lane(reference.place.parent)
    process = Started(place)
    process.wait(lambda: process.seconds() >= seconds)
    return place, process, process.kill(number)


def second(reference: Reference, seconds: float) -> Outcome:
    """Other commands on a directory on which a run has been at work for so long."""
    place = lane(reference.place.parent)
    first = Started(place)
    owner = place / "run" / ".process"
    first.wait(lambda: owner.is_file() and owner.read_text() != "" and first.seconds() >= seconds)
    if first.code is not None:
        return "second run on one directory", "", "the first had ended"
    beside = place.parent / f"{place.name}-beside"
    beside.mkdir(exist_ok=True)
    wrong = ""
    run = ("run", str(place.parent / "small.yaml"), "--output", str(place / "run"), "--device", "cpu", "--resume")
    for command in (run, ("score", str(place / "run"))):
        other = Started(beside, *command)
        if other.wait() != 2 or f"process {first.id}" not in other.said():
            wrong += f"{command[0]}: exit {other.code}: {other.said()[-300:]}"
    if first.wait():
        wrong += f"the first: exit {first.code}: {first.said()[-500:]}"
    files = differing(place / "run", reference.files)
    return "second run on one directory", f"refused, exit 2; the first: {SAME}", wrong or ", ".join(files)


def own_disk(reference: Reference, script: str, what: str, says: str) -> Outcome:
    """A real command line on a file system of its own that is full or read-only, and then is not."""
    place = lane(reference.place.parent)
    (place / "run").mkdir()
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=place, capture_output=True, text=True)
    said = ended.stderr
    how = f"named, exit 1; then {SAME}"
    codes = [line for line in said.splitlines() if line.startswith("exit ")]
    if codes != ["exit 1", "exit 0"] or says not in said or "Traceback" in said:
        return what, how, f"{codes}: {said[-800:]}"
    return what, how, ", ".join(differing(place / "out", reference.files))


def below_a_file(reference: Reference) -> Outcome:
    """A folder that nobody can write to, not even root."""
    place = lane(reference.place.parent)
    (place / "file").write_text("")
    process = Started(place, "run", str(place.parent / "small.yaml"), "--output", "file/run", "--device", "cpu")
    code, said = process.wait(), process.said()
    good = code == 1 and "could not be written" in said and "Traceback" not in said
    return "folder that cannot be made", "named, exit 1", "" if good else f"exit {code}: {said[-500:]}"


def can_mount() -> bool:
    """Whether a user may have a file system of their own here."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    line = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(line, capture_output=True).returncode == 0


def interrupt(reference: Reference, stopped_run: Path, seed: int, workers: int, short: bool) -> list[Row]:
    """All of them; one row a kind. stopped_run: one that was killed while it trained."""
    draw, place = random.Random(seed), reference.place.parent
    few, numbers = 6 if short else 60, [signal.SIGTERM] if short else [signal.SIGINT, signal.SIGTERM] * 4
    moments = [(draw.uniform(0.3, 0.95 * reference.took), number) for number in numbers]
    todo: list[Callable[[], Outcome]] = [partial(stopped, reference, moment) for moment in moments]
    todo += [
        partial(download, place, seed * 1000 + k)
        for download in (downloads.osie, downloads.salicon)
        for k in range(few)
    ]
    if short:  # the others are in tests/test_errors.py
        return _rows(list(lanes(_done, todo, workers, "interruptions")), seed)
    todo += [partial(small_files, reference, size) for size in FILE_BYTES]
    todo += [partial(second, reference, draw.uniform(0.3, 0.6 * reference.took)) for _ in range(3)]
    todo.append(partial(below_a_file, reference))
    own, note = _with_own_disks(reference, stopped_run), []
    if not own:
        note = [Row("interruptions", "full disk, read-only disk", 0, "no file system can be mounted here")]
    return [*_rows(list(lanes(_done, todo + own, workers, "interruptions")), seed), *note]


def _with_own_disks(reference: Reference, stopped_run: Path) -> list[Callable[[], Outcome]]:
    if not can_mount():
        return []
    line = f"run {reference.place.parent}/small.yaml --output run --device cpu --resume"
    given = {"python": sys.executable, "start": str(stopped_run / "run"), "line": line}
    full = [partial(own_disk, reference, FULL.format(mb=mb, **given), "full disk", "No space left") for mb in DISK_MB]
    return [*full, partial(own_disk, reference, READ_ONLY.format(**given), "read-only folder", "Read-only file system")]


def _done(case: Callable[[], Outcome]) -> Outcome:
    return case()


def _rows(ended: list[Outcome], seed: int) -> list[Row]:
    kinds = dict.fromkeys(what for what, _, _ in ended)
    rows = []
    for kind in kinds:
        of_kind = [one for one in ended if one[0] == kind]
        failures = tuple(f"seed {seed}, {kind}: {wrong}" for _, _, wrong in of_kind if wrong)
        rows.append(Row("interruptions", kind, len(of_kind), of_kind[0][1], failures))
    return rows

"""What `make torture` draws, and a short round of it; docs/RELIABILITY.md."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import damage
import downloads
import fuzz
import fuzz_mutate
import fuzz_readers
import interruptions
import kills
import small_run

ORDER = ("fixations/a", "photos/a/1x1", "train/b", "score/a", "report")


@pytest.fixture()
def reference(tmp_path):
    """An undisturbed run of 10 s that left one file."""
    place = tmp_path / "whole"
    (place / "run" / "figures").mkdir(parents=True)
    for name in ("a.csv", "figures/x.png", "figures/y.png"):
        (place / "run" / name).write_text("content")
    (place / "run" / ".lock").write_text("")
    files = small_run.artefacts(place / "run")
    return small_run.Reference(place, files, ORDER, (0.5, 0.6, 0.7, 8.0, 9.0), 10.0, 0.5)


def test_kills_are_over_the_whole_run_in_each_kind_of_stage_and_in_checkpoints(reference):
    runs = kills.moments(reference, 50, 2, 6, seed=3)
    assert runs == kills.moments(reference, 50, 2, 6, seed=3) != kills.moments(reference, 50, 2, 6, seed=4)
    drawn = [moment for run in runs for moment in run if moment != kills.CHECKPOINT]
    assert sum(run.count(kills.CHECKPOINT) for run in runs) == 6 and all(run == sorted(run) for run in runs)
    assert len(drawn) == 50 + 2 * 4  # fixations and photos are one kind, `prepare`
    assert all(0 <= moment <= 10 for moment in drawn)
    spans = {"prepare": (0.5, 0.7), "train": (0.7, 8.0), "score": (8.0, 9.0), "report": (9.0, 10.0)}
    each = kills.moments(reference, 0, 5, 0, seed=1)
    found = Counter(k for run in each for m in run for k, (low, high) in spans.items() if low <= m < high)
    assert found == dict.fromkeys(spans, 5)


def test_what_a_kill_struck_is_read_from_the_record(reference):
    place = reference.place
    struck = lambda before, said: kills._struck(place, before, said, ORDER)  # noqa: E731
    assert struck((), "") == kills.START  # no record yet
    record = place / "run" / "provenance.json"
    record.write_text('{"stages": {}}')
    assert struck((), "") == "prepare"
    record.write_text('{"stages": {"fixations/a": {}, "photos/a/1x1": {}}}')
    assert struck((), "") == "train"
    assert struck(ORDER[:2], "fixations/a: done before, kept\n") == kills.CHECKING
    assert struck(ORDER[:2], "fixations/a: done before, kept\nphotos/a/1x1: done before, kept\n") == "train"


def test_files_that_differ_are_found(reference):
    folder = reference.place / "run"
    assert small_run.differing(folder, reference.files) == []
    (folder / "a.csv").write_text("other")
    (folder / "figures" / "x.png").unlink()
    (folder / "z").write_text("")
    assert small_run.differing(folder, reference.files) == ["a.csv", "figures/x.png", "z"]


def test_every_file_is_damaged_in_both_ways_but_figures_in_one(reference):
    cases = damage.cases(reference, reference.place, 0, None)
    counts = Counter((case.state, case.name) for case in cases)
    for state in (damage.TRAINING, damage.FINISHED):
        assert [counts[state, n] for n in ("a.csv", "figures/x.png", "figures/y.png")] == [2, 1, 1]
    assert {case.kind for case in cases if "figures" in case.name} == set(damage.DAMAGE)
    assert len(damage.cases(reference, reference.place, 0, 1)) == 2
    draw = fuzz_mutate.Draw(0)
    for _ in range(20):
        assert b"abcdefgh".startswith(damage.cut(b"abcdefgh", draw)) and len(damage.cut(b"ab", draw)) < 2
        changed = damage.one_bit(b"abcdefgh", draw)
        assert sum((a ^ b).bit_count() for a, b in zip(changed, b"abcdefgh", strict=True)) == 1


@pytest.mark.parametrize("number", range(len(downloads.DAMAGE)))
def test_damaged_downloads_are_never_used(tmp_path, number):
    for download in (downloads.osie, downloads.salicon):
        what, _, wrong = download(tmp_path, number)
        assert "download" in what and wrong == ""


def test_lanes_give_the_same_answers_side_by_side(capsys):
    for workers in (1, 2):
        assert sorted(small_run.lanes(abs, [-3, 2, -1], workers, "numbers")) == [1, 2, 3]


def test_shares_and_chunks_add_up_and_cases_can_be_had_again(tmp_path):
    for files in (1, 14, 400, 20_000):
        given = fuzz.shares(files, None)
        assert sum(given.values()) == files
        dealt = {name: [] for name in given}
        for name, cases in fuzz.chunks(files, None):
            dealt[name] += cases
        assert {name: sorted(cases) for name, cases in dealt.items()} == {n: list(range(k)) for n, k in given.items()}
    reader = fuzz_readers.READERS["fixations.csv"]
    spoilt = []
    for k in range(2):
        folder = tmp_path / str(k)
        folder.mkdir()
        reader.write(folder)
        reader.spoil(folder, fuzz_mutate.Draw("5 fixations.csv 17"))
        spoilt.append((folder / "fixations.csv").read_bytes())
    assert spoilt[0] == spoilt[1]


def test_a_signal_that_comes_after_the_end_strikes_nobody(tmp_path):
    process = small_run.Started(tmp_path, "--help")
    while process.poll() is None:
        pass
    assert process.kill() == process.code == 0 and "Usage" in process.said()


@pytest.mark.slow
def test_a_stop_that_comes_too_late_is_tried_sooner(tmp_path):
    reference = small_run.undisturbed(tmp_path)
    late = (1.5 * reference.took, signal.SIGTERM)
    what, _, wrong = interruptions.stopped(reference, late)
    assert (what, wrong) == ("SIGTERM", "")


@pytest.mark.slow
def test_a_short_round_of_everything(tmp_path):
    line = [sys.executable, "torture.py", "--short", "--workers", "1"]  # its seed is printed with a failure
    line += ["--json", str(tmp_path / "torture.json"), "--keep", str(tmp_path)]
    ended = subprocess.run(line, cwd=Path(small_run.__file__).parent, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr

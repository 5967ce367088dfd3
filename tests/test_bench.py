"""The bench suite: its rows, its table, and what it does about scripts that fail or are missing."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))

from cost import in_turn, seconds  # noqa: E402
from machine import machine  # noqa: E402
from rows import Row, kept, measured, paired, read  # noqa: E402
from stages import rows_of  # noqa: E402
from suite import Outcome, Part, as_json, main, plan, run, text_of, wrong_with  # noqa: E402
from table import BEGIN, END, number, placed, table  # noqa: E402

GOOD = """
import argparse, json, os
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--value", type=float, default=3.0)
parser.add_argument("--rows", type=Path)
asked = parser.parse_args()
row = {"item": "step", "against": "plain", "ours": 2.0, "theirs": 6.0, "unit": "ms", "value": asked.value, "low": 2.9,
       "high": 3.1, "n": int(os.environ.get("OMP_NUM_THREADS", 5)), "at_least": 2.0, "at_most": None}
print("measuring")
asked.rows.write_text(json.dumps([row]))
"""
BAD = "import sys; print('one\\ntwo', file=sys.stderr); sys.exit(3)"
MACHINE = {
    "processor": "a processor", "vectors": "AVX2", "cores": 2, "threads": 2, "memory_gb": 8.0, "system": "an OS",
    "python": "3.11", "torch": "2", "numpy": "2", "cuda": None, "date": "2026-01-01", "gazetune": "0.4", "commit": None,
}  # fmt: skip


@pytest.fixture()
def scripts(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "mute.py").write_text("")
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    return tmp_path


def test_a_ratio_by_hand():
    """Medians 2 and 8: 4 times as fast; the pairs' ratios 10, 4 and 2 have the quartiles 3 and 7."""
    row = paired("step", "plain", [1, 2, 4], [10, 8, 8])
    assert (row.ours, row.theirs, row.value, row.low, row.high, row.n) == (2, 8, 4, 3, 7, 3)
    other = paired("step", "plain", [1, 2, 4], [10, 8, 8], slower=True)
    assert other.value == 0.25
    np.testing.assert_allclose([other.low, other.high], np.quantile([0.1, 0.25, 0.5], [0.25, 0.75]))


@pytest.mark.parametrize("factor", [1e-3, 1.0, 60.0])
def test_the_unit_does_not_change_a_ratio(factor):
    times = np.random.default_rng(0).uniform(1, 2, (2, 9))
    one, other = paired("", "", *times), paired("", "", *(factor * times))
    np.testing.assert_allclose([one.value, one.low, one.high], [other.value, other.low, other.high])


def test_bounds():
    at = {"item": "", "against": "", "unit": "s"}
    assert measured(values=[1, 2, 3], **at).holds is None
    assert measured(values=[1, 2, 3], at_most=2, **at).holds is True
    assert measured(values=[1, 2, 3], at_most=1.9, **at).holds is False
    assert measured(values=[1, 2, 3], at_least=1, at_most=3, **at).holds is True
    assert measured(values=[float("nan")], at_most=3, **at).holds is False


def test_an_aim_is_shown_and_no_run_fails_for_it():
    missed, reached = (paired("step", "plain", [1], [ratio], at_least=10, aim=True) for ratio in (3, 11))
    assert (missed.holds, reached.holds) == (False, True)
    found = [Outcome("a", rows=[missed, reached, measured("c", "", [1.5], "GB", at_most=2)])]
    assert not wrong_with(found)
    text = text_of(found, machine())
    assert "1 of 1 bounds are kept. 1 aims are not reached" in text
    assert "| aim: at least 10 | no, known |" in text and "| aim: at least 10 | yes " in text


def test_rows_come_back_as_they_were(tmp_path):
    rows = [paired("a | b", "ü", [1, 2], [3, 5], at_least=2), measured("c", "", [1.5], "GB", at_most=2)]
    kept(rows, tmp_path / "rows.json")
    found = read(tmp_path / "rows.json")
    assert found[0] == rows[0]
    assert math.isnan(found[1].theirs) and found[1].value == 1.5 and found[1].holds is True
    kept(rows, None)


def test_in_turn_takes_turns():
    order: list[str] = []
    found = in_turn(3, lambda: order.append("a"), lambda: order.append("b"))
    assert order == ["a", "b"] * 3 and [len(taken) for taken in found] == [3, 3]
    ticks = iter([5.0, 7.5])
    assert seconds(lambda: None, lambda: next(ticks)) == 2.5


def test_the_peak_memory_of_a_process():
    """100 MB that are used for a moment and given back stay in the peak of a fresh process."""
    code = "from cost import peak_bytes; a = peak_bytes(); x = bytearray(b'1') * 10**8; del x; print(peak_bytes() - a)"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCH, capture_output=True, text=True, check=True)
    assert 0.95e8 < int(done.stdout) < 1.1e8


def test_numbers():
    given = [4.0, 0.25, 1234.5, 99.96, 0.0123, 1.38e-9, 0.0, float("nan")]
    assert [number(v) for v in given] == ["4", "0.25", "1,234", "100", "0.0123", "1.38e-09", "0", ""]


def test_a_table_by_hand():
    rows = [
        Row("step | bf16", "plain", 2, 6, "ms", 3, 2.9, 3.1, 5, 2, None),
        measured("peak", "alone", [2.5], "GB", at_most=2),
        Row("share", "the whole", 1, 4, "s", 0.25, 0.25, 0.25, 1),
    ]
    cells = [[c.strip() for c in line.strip("| ").split(" | ")] for line in table(rows).splitlines()]
    assert cells[2] == ["step \\| bf16", "plain", "3 (2.9 to 3.1)", "5", "2 ms", "6 ms", "at least 2", "yes"]
    assert cells[3] == ["peak", "alone", "2.5 GB", "1", "2.5 GB", "", "at most 2 GB", "**no**"]
    assert cells[4][2:6] == ["0.25", "1", "1 s", "4 s"]
    assert len({len(line) for line in table(rows).splitlines()}) == 1


@pytest.mark.parametrize(("value", "shown"), [(0.9996, "0.9996"), (1.0, "1"), (1.04, "1.04"), (0.99999, "0.99999")])
def test_rounding_does_not_carry_a_value_over_its_bound(value, shown):
    row = Row("", "", 1, 1, "ms", value, value, value, 1, at_least=1)
    assert table([row]).splitlines()[2].split("|")[3].strip() == shown


def test_the_table_goes_between_the_markers():
    document = f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter"
    new = placed(document, "new")
    assert new == f"# Title\n\n{BEGIN}\nnew\n{END}\n\nafter"
    assert placed(new, "new") == new
    for wrong in ("# Title", document + BEGIN, f"{END}\n{BEGIN}"):
        with pytest.raises(ValueError, match="needs the line"):
            placed(wrong, "new")


def test_the_document_has_its_markers():
    document = (BENCH.parent / "docs" / "PERFORMANCE.md").read_text()
    assert "new" in placed(document, "new")


def test_what_becomes_of_a_script(scripts):
    good = run(Part("good", ("--value", "4"), threads=7), scripts)
    assert good.rows[0].value == 4 and good.rows[0].n == 7 and not good.failed and not good.not_run
    bad, mute = run(Part("bad"), scripts), run(Part("mute"), scripts)
    assert bad.failed == "exit code 3\none\ntwo" and mute.failed == "it gave no rows"
    assert "stopped after" in run(Part("slow"), scripts, limit_seconds=0.3).failed
    assert run(Part("none"), scripts).not_run == "there is no none.py"
    assert run(Part("good", lacks="needs --osie"), scripts).not_run == "needs --osie"


def test_a_failed_script_and_a_bound_not_kept_do_not_stop_the_others(scripts, capfd):
    document = scripts / "PERFORMANCE.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    parts = [Part("bad"), Part("missed", ("--value", "1.5"), "good.py"), Part("none"), Part("good")]
    options = ["--json", str(scripts / "out.json"), "--write", str(document)]
    assert main(options, parts, scripts) == 1
    said = capfd.readouterr()
    assert "FAILED: bad: exit code 3\none\ntwo" in said.err and "NOT KEPT: step, against plain" in said.err
    assert "[4/4] good: 1 rows" in said.err and "measuring" in said.err
    for text in (said.out, document.read_text()):
        assert "Not run: none: there is no none.py." in text and "Failed: bad: exit code 3." in text
        assert text.count("| step ") == 2 and "1 of 2 bounds are kept." in text and "two" not in text
    found = json.loads((scripts / "out.json").read_text())
    assert [one["name"] for one in found["scripts"]] == ["bad", "missed", "none", "good"]
    assert [one["rows"][0]["holds"] for one in found["scripts"] if one["rows"]] == [False, True]
    assert str(scripts) not in (scripts / "out.json").read_text() + document.read_text()


def test_all_well_and_only_some(scripts, capfd):
    parts, options = [Part("bad"), Part("good")], ["--json", str(scripts / "out.json")]
    assert main([*options, "--only", "good"], parts, scripts) == 0
    assert "1 of 1 bounds are kept." in capfd.readouterr().out
    for wrong in (["--only", "others"], ["--only", "good", "--write", "x.md"]):
        with pytest.raises(SystemExit):
            main(options + wrong, parts, scripts)


def test_nan_is_null_in_the_file_of_results():
    outcome = Outcome("one", 1.0, [measured("peak", "", [2.5], "GB")])
    found = json.loads(as_json([outcome], MACHINE))
    assert found["scripts"][0]["rows"][0]["theirs"] is None and not wrong_with([outcome])
    assert text_of([outcome], MACHINE).startswith("a processor (AVX2), 2 cores")


def test_the_plan_names_what_it_lacks(tmp_path):
    bare = {part.name: part for part in plan(None, None)}
    assert "--osie" in bare["stages"].lacks and bare["stages-demo"].file == "stages.py"
    whole = {part.name: part for part in plan(tmp_path, tmp_path)}
    assert not whole["stages"].lacks and "stages-demo" not in whole
    assert whole["agreement"].arguments == ("--osie", str(tmp_path))


def test_the_stages_of_a_finished_run(tmp_path):
    times = {"photos/x/9x9": 1.0, "train/tuned-s1": 4.0, "train/control-s1": 2.0, "report": 1.0}
    record = {"stages": {name: {"seconds": taken} for name, taken in times.items()}}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    (tmp_path / "config.yaml").write_text("name: small\n")
    logged = [
        {"split": "train", "seconds": 1.5},
        {"split": "validation", "loss": 1},
        {"split": "train", "seconds": 2.5},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged))
    rows = {row.item: row for row in rows_of(tmp_path, 10.0)}
    assert rows["small: train, 2 times"].value == 0.6 and rows["small: train, 2 times"].theirs == 10
    assert rows["small: the 2 training steps of these"].value == 0.4
    assert rows["small: outside the stages (start, reading)"].ours == 2
    assert rows["small: a training step"].value == 2 and rows["small: a training step"].low == 1.75
    own = rows_of(tmp_path, None)
    assert sum(row.value for row in own if "step" not in row.item) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "exact"),
    [
        ("consistency", ("--observers", "6", "--repeats", "2"), "largest difference"),
        ("observers", ("--images", "2", "--observers", "4", "--repeats", "2"), None),
        ("large_csv", ("--fixations", "20000"), None),
    ],
)
def test_a_real_script_runs_in_the_suite(name, arguments, exact):
    """No time is judged here; what must agree does."""
    found = run(Part(name, arguments), BENCH)
    assert not found.failed and found.rows
    assert all(row.value > 0 and row.low <= row.value <= row.high for row in found.rows if row.n == 1)
    assert all(row.holds for row in found.rows if exact and exact in row.item)


def test_every_script_of_the_plan_takes_the_option():
    for part in plan(None, None):
        script = BENCH / part.file
        if script.is_file():
            assert "rows_option(" in script.read_text(), part.name
    helped = subprocess.run(
        [sys.executable, str(BENCH / "stages.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "--rows FILE" in helped.stdout

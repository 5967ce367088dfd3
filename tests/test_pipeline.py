"""Whole runs on small studies, through the command line in this process."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gazetune import Run, paired_test
from gazetune.errors import InputError
from gazetune.metrics import METRICS
from gazetune.parity.compare import parity
from gazetune.tables.rows import ROWS, keyed
from worlds import gazetune, run_small, small_vit, write_study

ROOT = Path(__file__).parents[1]


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_run_leaves_every_table_and_says_the_same_everywhere(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    assert set(run.images["model"]) == {*ROWS, "before", "after", "shuffled"}
    assert len(run.images) == (len(ROWS) + 3) * 8
    assert list(run.images.columns) == ["dataset", "image", "model", "seed", "attention", *METRICS, "reason"]
    wide = run.images.pivot(index="image", columns="model", values="cc")
    test = run.tests.query("metric == 'cc' and first == 'after-s42' and second == 'before'").iloc[0]
    ours = paired_test(wide["after"].to_numpy(), wide["before"].to_numpy())
    assert (test["t"], test["p"], test["n"]) == pytest.approx((ours.t, ours.p, 8), rel=1e-6)
    means = {(a["model"], a["metric"]): a["mean"] for a in run.summary["alignment"]}
    assert means["after-s42", "cc"] == pytest.approx(wide["after"].mean(), rel=1e-6)
    assert run.table("predictions")["correct"].notna().all()
    expected = parity(keyed(run.table("predictions")), "before")
    assert run.table("parity")["only_second"].tolist() == expected["only_second"].tolist() and len(expected) == 2
    assert "equivalence within 1 point" in (said := " ".join(capsys.readouterr().out.split())), said
    assert "BF01, unit (ceiling)" in (study / "run" / "report.html").read_text()
    assert {a["model"] for a in run.summary["accuracy"]} == {"before", "after-s42", "shuffled-s42"}
    assert run.summary["training"]["after-s42"]["step"] == 6
    assert run.summary["datasets"]["table"]["images"] == {"train": 8, "validation": 8, "test": 8}
    report = (study / "run" / "report.html").read_text()
    assert f"{test['n']}</td><td>{test['difference']:.3f}" in report
    assert report.count("data:image/") == sum(f.endswith(".png") for f in run.stages()["figures"]["outputs"])
    assert (
        re.search(r"(https?:)?//(?!www\.w3\.org)", re.sub(r"base64,[^\"]+", "", report)) is None
    )  # nothing from elsewhere
    assert f"{means['after-s42', 'cc']:.3f}" in said and "report.html" in said
    lines = list(run.log_lines())
    assert [line["step"] for line in lines if line["model"] == "after-s42" and line["split"] == "train"] == list(
        range(1, 7)
    )


def test_the_same_command_twice_gives_the_same_files(monkeypatch, study):
    for name in ("one", "two"):
        assert run_small(monkeypatch, study, output=name) == 0
    one, two = files(study / "one"), files(study / "two")
    assert one.keys() == two.keys()
    differ = {name for name in one if one[name] != two[name]}
    assert differ <= {"provenance.json", "log.jsonl", "report.html"}  # times, and the command with its --output
    pages = [re.sub(rb"base64,[^\"]+", b"", found["report.html"]) for found in (one, two)]  # letters of pictures
    assert pages[0].replace(b"/one", b"/two") == pages[1]


def test_finished_stages_are_kept_and_a_missing_or_changed_file_is_made_again(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    before = files(study / "run")
    assert run_small(monkeypatch, study) == 2
    assert "already holds a run" in (said := capsys.readouterr().err) and "--resume" in said
    assert run_small(monkeypatch, study, "--resume") == 0
    assert (kept := capsys.readouterr().err).count("done before, kept") == 17, kept
    (study / "run" / "images.csv").unlink()
    scores = study / "run" / "scores" / "table.csv"
    scores.write_bytes(scores.read_bytes().replace(b"0", b"1", 1))
    shutil.rmtree(study / "run" / "cache")
    assert gazetune(monkeypatch, "run", study / "run", "--resume") == 0
    said = capsys.readouterr().err
    assert "images.csv' is missing" in said and "scores/table.csv' is damaged" in said
    assert "train/after-s42: done before, kept" in said
    after = files(study / "run")
    assert {n for n in before if before[n] != after[n]} <= {"provenance.json", "report.html"}  # the new command


@pytest.mark.slow
def test_changed_settings_redo_what_depends_on_them(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    capsys.readouterr()
    assert run_small(monkeypatch, study, "--resume", "--set", "training.lr=2e-3") == 0
    said = capsys.readouterr().err
    assert "train/after-s42: done again, because its input changed (training)" in said
    assert "photos/table/32x32: done before, kept" in said
    assert "attention/table/before: done before, kept" in said


def test_a_file_that_a_stage_no_longer_writes_is_gone_unless_another_stage_wrote_it(tmp_path):
    run = Run(tmp_path)

    def writes(*names):
        return lambda: [run.write(name, name) for name in names]

    run.stage("a", {"x": 1}, writes("one", "two", "three"))
    run.stage("b", {}, writes("two"))
    run.stage("a", {"x": 2}, writes("three"))
    assert sorted(files(tmp_path)) == ["provenance.json", "three", "two"]

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.stage("a", {"x": 3}, stopped)
    assert "three" in files(tmp_path)


@pytest.mark.slow
def test_nothing_of_other_settings_is_left(monkeypatch, study):
    assert run_small(monkeypatch, study, "--set", "training.epochs=1") == 0
    run = Run(study / "run")
    there = ("gains.csv", "correlations.csv", "figures/consistency.png", "figures/examples.png")
    assert all(run.file(name).is_file() for name in there)
    again = ("--resume", "--set", "training.epochs=1", "--set", "metrics=[nss]")
    assert run_small(monkeypatch, study, *again) == 0
    assert not [name for name in there if run.file(name).exists()] and run.file("figures/alignment.png").is_file()


def test_scoring_on_another_data_set(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    other = write_study(study / "other", n=5, seed=9)
    assert gazetune(monkeypatch, "score", study / "run", "--data", f"table={other}") == 2
    assert "is the run's own data set" in capsys.readouterr().err
    assert gazetune(monkeypatch, "score", study / "run", "--data", f"table:other={other}") == 0
    run = Run(study / "run")
    assert run.images.groupby("dataset")["image"].nunique().to_dict() == {"table": 8, "other": 5}
    assert set(run.tests["dataset"]) == {"table", "other"}


def test_several_seeds(monkeypatch, study):
    assert run_small(monkeypatch, study, "--seeds", "0,1") == 0
    run = Run(study / "run")
    assert set(run.summary["training"]) == {"after-s0", "after-s1", "shuffled-s0", "shuffled-s1"}
    wide = run.images.query("model == 'after'").pivot(index="image", columns="seed", values="cc")
    assert (wide[0] != wide[1]).all()
    assert run.checkpoint("after-s1").is_dir()
    with pytest.raises(InputError, match="There are: after-s0, after-s1"):
        run.checkpoint("after")


def test_train_then_score(monkeypatch, study):
    assert gazetune(monkeypatch, "train", study / "small.yaml", "--output", study / "run") == 0
    assert not (study / "run" / "images.csv").exists()
    assert gazetune(monkeypatch, "score", study / "run") == 0
    assert (study / "run" / "report.html").exists()


def test_dry_run_plans_and_writes_nothing(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "8 train, 8 validation, 8 test" in said and "at most 6 steps of 4 images" in said
    learn = sum(p.numel() for p in small_vit().learnable().values())
    assert f"{learn:,} of" in said
    assert not (study / "run").exists()
    assert gazetune(monkeypatch, "run", "osie", "--dry-run", "--weights", study / "nowhere") == 2
    said = capsys.readouterr().err
    assert "nowhere' does not exist" in said and "'osie' needs its folder" in said


def test_the_plan_counts_what_a_limit_leaves(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--dry-run", "--limit", "2") == 0
    assert "2 train, 2 validation, 2 test" in capsys.readouterr().out
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["models"] = {"before": settings["models"]["before"]}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, study, "--dry-run", "--limit", "2") == 0
    assert "8 train, 8 validation, 2 test" in capsys.readouterr().out  # nothing learns: the priors want all
    assert run_small(monkeypatch, study, "--limit", "2") == 0
    assert Run(study / "run").summary["datasets"]["table"]["images"] == {"train": 8, "validation": 8, "test": 2}


def test_a_metric_of_ones_own(monkeypatch, study, capsys):
    example = re.search(
        r"```python\n(# my_metrics\.py.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.S
    ).group(1)
    assert len(example.strip().splitlines()) <= 20
    (study / "my_metrics.py").write_text(example)
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["metrics"] = ["cc", f"{study / 'my_metrics.py'}:emd"]
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, study) == 2
    assert "--allow-code" in capsys.readouterr().err
    assert run_small(monkeypatch, study, "--allow-code") == 0
    run = Run(study / "run")
    found = run.images.query("model == 'after'")["emd"]
    assert (found > 0).all() and (found < 64).all()
    assert "emd" in set(run.tests["metric"])
    assert len(run.json("provenance.json")["code"]) == 1


def test_the_lines_of_the_readme_run(study, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.chdir(study)
    (study / "study").rename(study / "my-study")
    small_vit().save(study / "runs/demo/checkpoints/tuned-s42/best")  # as if make demo had been run here
    space = {}
    exec(blocks[0], space)
    assert isinstance(space["table"], pd.DataFrame) and len(space["table"]) == 24
    assert space["test"].n == 24


def test_errors_are_one_message_and_debug_shows_where(monkeypatch, study, capsys):
    assert gazetune(monkeypatch, "run", "oseie") == 2
    assert "Did you mean 'osie'?" in capsys.readouterr().err
    assert run_small(monkeypatch, study, "--set", "training.lerning_rate=1") == 2
    assert "there is no setting 'training.lerning_rate'" in capsys.readouterr().err
    assert gazetune(monkeypatch, "score", study / "nothing", "--debug") == 2
    assert "Traceback" in (said := capsys.readouterr().err) and "is not a run" in said


def test_summary_as_json(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--json") == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "before"


def test_a_damaged_shard_is_made_again_not_kept(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    shard = study / "run" / "attention" / "table" / "before" / "00000.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert run_small(monkeypatch, study, "--resume") == 0
    assert "before/00000.safetensors' is damaged" in capsys.readouterr().err
    assert shard.read_bytes() == whole


@pytest.mark.slow
def test_scores_of_another_data_set_with_older_models_are_left_out(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    other = write_study(study / "other", n=4, seed=9)
    assert gazetune(monkeypatch, "score", study / "run", "--data", f"table:other={other}") == 0
    assert run_small(monkeypatch, study, "--resume", "--seeds", "0") == 0
    assert "'other' was scored with other models" in capsys.readouterr().err
    assert set(Run(study / "run").images["dataset"]) == {"table"}


@pytest.mark.slow
def test_the_cache_may_be_deleted_and_the_data_may_be_gone(monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    before = files(study / "run")
    shutil.rmtree(study / "run" / "cache")
    other = write_study(study / "other", n=4, seed=9)
    assert gazetune(monkeypatch, "score", study / "run", "--data", f"table:other={other}") == 0
    (study / "study").rename(study / "moved")
    (study / "run" / "tests.csv").unlink()
    assert gazetune(monkeypatch, "run", study / "run", "--resume") == 0
    assert "Going on with what the run holds" in capsys.readouterr().err
    assert (
        files(study / "run")["attention/table/before/00000.safetensors"]
        == before["attention/table/before/00000.safetensors"]
    )
    shutil.rmtree(study / "run" / "cache")
    assert gazetune(monkeypatch, "run", study / "run", "--resume") == 2
    assert "does not hold them whole" in capsys.readouterr().err


@pytest.mark.slow
def test_accuracy_is_of_the_labelled_images_and_never_that_of_an_older_model(monkeypatch, study, capsys):
    table = pd.read_csv(study / "study" / "fixations.csv")
    table["label"] = table["label"].where(table["image"] != "p002.png")
    table.to_csv(study / "study" / "fixations.csv", index=False)
    assert run_small(monkeypatch, study) == 0
    assert "1 of 8 test images have no label" in capsys.readouterr().err
    assert {a["n"] for a in Run(study / "run").summary["accuracy"]} == {7}
    small_vit(labels=5).save(study / "more")  # other classes: nothing to count
    assert run_small(monkeypatch, study, "--resume", "--weights", study / "more") == 0
    assert "does not tell the classes of 'table' apart" in capsys.readouterr().err
    assert "accuracy" not in Run(study / "run").summary


def test_the_order_of_the_models_does_not_turn_the_tests(monkeypatch, study):
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["models"] = {name: settings["models"][name] for name in ("shuffled", "after", "before")}
    (study / "small.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert run_small(monkeypatch, study) == 0
    pairs = set(zip(*(Run(study / "run").tests[c] for c in ("first", "second")), strict=True))
    assert {("after-s42", "shuffled-s42"), ("after-s42", "before"), ("shuffled-s42", "before")} <= pairs


def test_precision_is_written_down_as_what_it_is(monkeypatch, study):
    assert run_small(monkeypatch, study, "--precision", "auto") == 0
    assert yaml.safe_load((study / "run" / "config.yaml").read_text())["training"]["precision"] in ("fp32", "bf16")


def test_a_metric_by_several_controls(monkeypatch, study):
    settings = yaml.safe_load((study / "small.yaml").read_text())
    for targets in ("centre", "uniform"):
        settings["models"][targets] = {**settings["models"]["after"], "targets": targets}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, study) == 0
    assert {"centre-s42", "uniform-s42"} <= set(Run(study / "run").tests["first"])

"""The bias analyses as a stage of a run: kept objects, tables, the command, the report."""

import csv

import numpy as np
import pandas as pd
import pytest
import yaml

from gazetune import Run, load_table
from gazetune.biases.analyse import analyse
from gazetune.biases.kept import keep_objects, kept_stimuli
from gazetune.biases.regions import painted
from gazetune.data.synthetic import World, load_synthetic
from gazetune.maps import Human, densities, grid_points
from worlds import gazetune, run_small


@pytest.fixture
def outlined(study):
    """The study with objects: on each image two boxes that overlap and a small one, some animate."""
    rows = []
    for i in range(24):
        rows += [
            {"image": f"p{i:03d}.png", "category": "dog", "x": 5, "y": 5, "width": 20, "height": 20, "animate": "yes"},
            {
                "image": f"p{i:03d}.png",
                "category": "table",
                "x": 15,
                "y": 10,
                "width": 45,
                "height": 30,
                "animate": "no",
            },
            {"image": f"p{i:03d}.png", "category": "cup", "x": 40, "y": 30, "width": 6, "height": 6, "animate": "no"},
        ]
    with (study / "study" / "objects.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["contrasts"] = {
        "cups": {"a": {"categories": "cup"}},
        "sides": {"a": {"half": "left"}, "b": {"half": "right"}},
    }
    settings["training"]["epochs"] = 1
    (study / "small.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return study


def test_kept_objects_give_the_same_canvas():
    world = load_synthetic(World(images=12))
    tensors, about = keep_objects(world, 96)
    kept = kept_stimuli("kept", tensors, about)
    for before, after in zip(world, kept, strict=True):
        np.testing.assert_array_equal(painted(before, 96), painted(after, 96))
        for a, b in zip(before.objects, after.objects, strict=True):
            assert (a.id, a.category, a.area_px2, a.animate) == (b.id, b.category, b.area_px2, b.animate)


def test_a_run_has_the_tables_of_the_analysis_on_the_original_objects(monkeypatch, outlined, capsys):
    assert run_small(monkeypatch, outlined) == 0
    run = Run(outlined / "run")
    stimuli = load_table(outlined / "study")
    tested = stimuli.take(np.flatnonzero([s == "test" for s in stimuli.given_split]))
    points = grid_points(tested, Human(sigma_px=4.0), 64)
    plain = analyse(tested, {"human": lambda index: densities(points, index)}, size=64)
    ours = run.table("contrasts").query("model == 'human' and analysis == 'animacy'").set_index("image")
    theirs = plain.contrasts.query("key == 'human' and analysis == 'animacy'").set_index("image")
    np.testing.assert_allclose(ours["contrast"], theirs.loc[ours.index, "contrast"], rtol=1e-6)
    assert ours["contrast"].notna().all() and len(ours) == 8
    tests = run.table("bias_tests")
    assert list(tests)[-1] == "reason" and (tests["p"].isna() == tests["reason"].notna()).all()
    assert set(tests.query("kind == 'contrast'")["analysis"]) == {"animacy", "cups", "sides"}  # nothing is large here
    headline = tests.query(
        "kind == 'contrast' and analysis == 'animacy' and first == 'after-s42' and second == 'before'"
    )
    wide = (
        run.table("contrasts").query("analysis == 'animacy'").pivot(index="image", columns="model", values="contrast")
    )
    assert headline["difference"].item() == pytest.approx((wide["after"] - wide["before"]).mean(), rel=1e-5)
    assert {"animacy", "object_size", "cups", "sides", "all"} == set(run.table("exclusions")["analysis"])
    flow = run.table("exclusions").query("analysis == 'object_size' and unit == 'images'")
    assert flow["left_out"].sum() == 8 and flow["n"].iloc[-1] == 0
    page = run.file("report.html").read_text()
    assert "animacy: attention density on animate and inanimate" in page and "who is left, step by step" in page
    capsys.readouterr()
    assert gazetune(monkeypatch, "biases", outlined / "run") == 0
    said = capsys.readouterr()
    assert "cups: attention density on cup and rest" in said.out and "done before, kept" in said.err
    shown = [line.split() for line in said.out.splitlines() if line.strip().startswith("human ")]
    within = tests.query("kind == 'within' and analysis == 'animacy' and first == 'human'").iloc[0]
    assert f"{within['difference']:.3f}" in shown[0] and f"{within['t']:.2f}" in shown[0]


def test_wrong_contrasts_are_said(monkeypatch, outlined, capsys):
    assert run_small(monkeypatch, outlined, "--set", "contrasts={animacy: {a: {half: left}}}") == 2
    assert "'animacy' is an analysis of every run" in capsys.readouterr().err
    assert run_small(monkeypatch, outlined, "--set", "contrasts={x: {a: {categorie: cup}}}") == 2
    assert "did you mean 'categories'?" in capsys.readouterr().err
    assert run_small(monkeypatch, outlined, "--set", "contrasts={x: {a: {categories: cop}}}") == 2
    assert "did you mean 'cup'?" in capsys.readouterr().err


def test_without_objects_there_is_nothing_to_show(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--set", "training.epochs=1") == 0
    assert gazetune(monkeypatch, "biases", study / "run") == 0
    assert "No data set of this run has annotated objects" in capsys.readouterr().out
    assert not Run(study / "run").file("contrasts.csv").exists()


@pytest.mark.slow
def test_objects_that_change_are_measured_again(monkeypatch, outlined):
    run_small(monkeypatch, outlined)
    before = Run(outlined / "run").table("contrasts")
    path = outlined / "study" / "objects.csv"
    path.write_text(path.read_text().replace("5,5,20,20", "5,5,30,30"))
    assert run_small(monkeypatch, outlined, "--resume") == 0
    after = Run(outlined / "run").table("contrasts")
    assert not pd.Series(before["density_a"]).equals(after["density_a"])
    path.write_text(path.read_text().replace(",table,", ",desk,"))  # nothing is scored otherwise
    assert run_small(monkeypatch, outlined, "--resume") == 0
    assert set(Run(outlined / "run").table("categories")["category"]) == {"cup", "desk", "dog"}

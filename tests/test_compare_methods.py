"""One run through several attention methods: tables, summary, figure, report, and what a second run does again."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from gazetune import Run, paired_test
from gazetune.attention import METHODS
from gazetune.attention.extract import read_maps
from gazetune.faithfulness import AREAS, RANDOM
from gazetune.maps import counts, min_max, upsampled
from gazetune.metrics.saliency import nss
from gazetune.prepared import load_prepared
from gazetune.tables.methods import GAINS, method_means, over_random
from gazetune.tables.rows import keyed
from worlds import gazetune, run_small, small_vit

ASKED = "gradcam,relevance"
SHOWN = ["cc", "nss", "sauc"]


@pytest.fixture()
def untrained(study):
    """The small study with two models, of which none is trained."""
    settings = yaml.safe_load((study / "small.yaml").read_text())
    small_vit(seed=1).save(study / "others")
    settings["models"] = {
        "before": {"weights": str(study / "weights"), "train": "none"},
        "after": {"weights": str(study / "others"), "train": "none"},
    }
    (study / "small.yaml").write_text(yaml.safe_dump(settings | {"heads": False, "metrics": SHOWN}))
    return study


def test_scoring_by_several_methods(monkeypatch, untrained, capsys):
    study = untrained
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    before = run.images
    capsys.readouterr()
    assert gazetune(monkeypatch, "score", study / "run", "--attention", ASKED, "--steps", "3") == 0
    told = capsys.readouterr()
    said = " ".join(told.out.split())
    assert "means by attention method" in said and "after minus before by method: difference" in said
    assert re.search(r"gradcam after .* gradcam before .* relevance after", said)  # per method the models
    assert "56 passes for each of 8 pairs of model and method, about" in told.err  # 8 images x (2 x 3 + 1)
    assert [told.err.count(f"{stage}: done before") for stage in ("score/table", "heads/table")] == [1, 0]

    # images.csv: what was there stays as it was, and below it the models by the other methods
    images = run.images
    pd.testing.assert_frame_equal(images.head(len(before)), before)
    added = images.iloc[len(before) :]
    assert list(images.columns) == list(before.columns)
    assert added.groupby(["model", "attention"]).size().to_dict() == {
        (model, method): 8 for model in ("before", "after") for method in ("gradcam", "relevance")
    }

    # a number of it against its map, by another way
    test = load_prepared(run, "table", [(32, 32)])
    rows = test.rows("test")
    grids = read_maps(run, "methods/table/after/relevance")["grid"]
    expected = nss(min_max(upsampled(grids, 64)), counts(test.points.take(rows)))
    shown = added.query("model == 'after' and attention == 'relevance'")["nss"].to_numpy()
    np.testing.assert_allclose(shown, expected.numpy(), rtol=1e-5)

    # means, tests within a method, areas
    means, tests, areas = (run.table(name) for name in ("methods", "method_tests", "faithfulness"))
    assert set(means["attention"]) == {"rollout", "gradcam", "relevance", RANDOM}
    assert set(means["metric"]) == {*SHOWN, *AREAS, *GAINS}
    one = means.query("model == 'after' and attention == 'relevance' and metric == 'nss'").iloc[0]
    assert (one["n"], one["mean"]) == (8, pytest.approx(expected.double().mean().item(), rel=1e-5))
    assert one["ci_low"] < one["mean"] < one["ci_high"]
    wide = added.query("attention == 'gradcam'").pivot(index="image", columns="model", values="cc")
    ours = paired_test(wide["after"].to_numpy(), wide["before"].to_numpy())
    of = "attention == 'gradcam' and metric == 'cc' and first == 'after' and second == 'before'"
    row = tests.query(of).iloc[0]
    assert (row["n"], row["difference"], row["p"]) == pytest.approx((ours.n, ours.difference, ours.p), rel=1e-5)
    assert len(areas) == 2 * 4 * 8 and areas[list(AREAS)].notna().all(axis=None)
    assert set(run.tests.columns) == set(tests.columns) - {"attention"}  # tests.csv is of the own method alone

    assert {m["attention"] for m in run.summary["methods"]} == set(means["attention"])
    assert run.file("figures/methods.png").is_file()
    report = (study / "run" / "report.html").read_text()
    assert "By other attention methods" in report and f"[{one['ci_low']:.3f}, {one['ci_high']:.3f}]" in report

    # once more: nothing is done again; without --attention the tables stay, for the scores are the same
    assert gazetune(monkeypatch, "score", study / "run", "--attention", ASKED, "--steps", "3") == 0
    assert "done again" not in (kept := capsys.readouterr().err) and "faithfulness/table/after/gradcam" in kept
    assert gazetune(monkeypatch, "score", study / "run") == 0
    assert run.file("methods.csv").is_file()


def test_methods_in_the_yaml_and_an_unknown_one(monkeypatch, untrained, capsys):
    settings = yaml.safe_load((untrained / "small.yaml").read_text())
    settings |= {"methods": ["cls_attention"], "faithfulness": {"steps": 0}}
    del settings["models"]["after"]
    (untrained / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, untrained) == 0
    run = Run(untrained / "run")
    assert set(run.table("methods")["attention"]) == {"rollout", "cls_attention"}
    assert not run.file("faithfulness.csv").exists() and "method_tests" in run.summary
    assert gazetune(monkeypatch, "score", untrained / "run", "--attention", "gradcan") == 2
    assert "did you mean 'gradcam'?" in capsys.readouterr().err


def table(*rows):
    columns = ["dataset", "image", "model", "seed", "attention", "cc", "deletion", "insertion"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def test_gains_over_a_random_order_by_hand():
    scores = keyed(
        table(
            ("d", "a", "m", None, "rollout", 0.5, 0.2, 0.9),
            ("d", "b", "m", None, "rollout", 0.1, 0.6, 0.5),
            ("d", "b", "m", None, RANDOM, np.nan, 0.5, 0.7),
            ("d", "a", "m", None, RANDOM, np.nan, 0.4, 0.6),
        )
    )
    found = over_random(scores)
    assert found["deletion_gain"].tolist()[:2] == pytest.approx([0.2, -0.1])
    assert found["insertion_gain"].tolist()[:2] == pytest.approx([0.3, -0.2])
    assert found[list(GAINS)].iloc[2:].isna().all(axis=None)
    means = method_means(found, ["cc", "deletion_gain"]).set_index(["attention", "metric"])
    assert means.loc[("rollout", "cc"), "mean"] == pytest.approx(0.3)
    assert means.loc[("rollout", "deletion_gain"), "sd"] == pytest.approx(0.3 / 2**0.5)
    assert (RANDOM, "cc") not in means.index
    lacking = scores.assign(cc=[0.5, np.nan, np.nan, np.nan], reason=[None, "constant map", None, None])
    means = method_means(lacking, ["cc", "deletion"]).set_index(["attention", "metric"])
    assert means.loc[("rollout", "cc"), ["n", "reason"]].tolist() == [1, "1 constant map"]
    assert means.loc[("rollout", "deletion"), ["n", "reason"]].tolist() == [2, ""]


def test_every_method_has_a_label():
    assert all(method.label for method in METHODS.values())

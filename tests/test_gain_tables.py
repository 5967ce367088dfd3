"""Consistency, gains and the spread between seeds in the tables, the summary, the report and the figure of a run."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from gazetune import Run
from gazetune.commands.settings import of_run
from gazetune.data.table import load_table
from gazetune.maps import Human
from gazetune.metrics import METRICS
from gazetune.metrics.baselines import share_of_ceiling
from gazetune.metrics.consistency import consistency
from gazetune.metrics.gain import (
    at_ceiling,
    categories,
    category_means,
    consistency_correlations,
    gains,
    improved,
    quartile_means,
)
from gazetune.prepared import load_prepared, prepare_points
from gazetune.report.gain import agreement_line, category_rows, quartile_rows, rises, seed_rows
from gazetune.report.html import write_report
from gazetune.report.words import shares
from gazetune.run import SUMMARY
from gazetune.tables.gain import gain_pairs, gain_summary, gain_tables
from gazetune.tables.rows import keyed
from gazetune.tables.seeds import seed_spread
from worlds import run_small, small_vit, write_study

SMALL = {"map_size": 64, "human": {"sigma_px": 4.0}, "metrics": ["cc", "nss", "entropy_bits"]}
PAIRS = [
    *(("after-s0", "before"), ("after-s1", "before"), ("after-s0", "shuffled-s0"), ("after-s1", "shuffled-s1")),
    *(("shuffled-s0", "before"), ("shuffled-s1", "before")),
]
EXACT = {"check_dtype": False, "rtol": 1e-6, "atol": 1e-8}


def write_objects(folder):
    """Every image holds a cat; every other one a dog, twice; the name of one category is a spreadsheet's formula."""
    lines = ["image,category,x,y,width,height"]
    for i in range(24):
        lines += [f"p{i:03d}.png,=cat,1,1,9,9"] + [f"p{i:03d}.png,dog,{x},20,9,9" for x in (5, 30) if i % 2]
    (folder / "objects.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def seeds_run(tmp_path_factory):
    """A run of two seeds on images with objects; one test image has one observer only."""
    folder = tmp_path_factory.mktemp("gain")
    study = write_study(folder / "study", n=24, split=lambda i: ["train", "validation", "test"][i % 3])
    table = pd.read_csv(study / "fixations.csv")
    alone = (table["image"] == "p005.png") & (table["observer"] != "o1")
    table[~alone].to_csv(study / "fixations.csv", index=False)
    write_objects(study)
    small_vit().save(folder / "weights")
    model = {"weights": str(folder / "weights"), "train": True}
    models = {"before": {**model, "train": "none"}, "after": model, "shuffled": {**model, "targets": "shuffled"}}
    data = {"kind": "table", "path": str(study), "split": {"rule": "given"}}
    training = {"lr": 1e-3, "epochs": 1, "evaluate_every": 4, "precision": "fp32", "batch_size": 4}
    settings = {"name": "small", "data": data, "models": models, "reference": "before", "training": training}
    (folder / "small.yaml").write_text(yaml.safe_dump({**settings, **SMALL, "seeds": [0, 1]}))
    with pytest.MonkeyPatch.context() as patch:
        assert run_small(patch, folder) == 0
    return Run(folder / "run")


@pytest.fixture(scope="module")
def stimuli(seeds_run):
    whole = load_table(seeds_run.path.parent / "study")
    return whole.take(np.flatnonzero(np.array(whole.given_split) == "test"))


def test_consistency_is_that_of_the_test_images(seeds_run, stimuli):
    found = seeds_run.table("consistency")
    assert list(found.columns) == ["dataset", "image", "n_observers", "consistency"]
    expected = consistency(stimuli, Human(sigma_px=4.0), size=64)
    pd.testing.assert_frame_equal(found.drop(columns="dataset"), expected, **EXACT)
    assert found["n_observers"].tolist() == [4, 1, 4, 4, 4, 4, 4, 4]
    known = expected["consistency"].dropna()
    (said,) = seeds_run.summary["consistency"]
    assert (said["dataset"], said["n"], said["fewer_than_two_observers"]) == ("table", 7, 1)
    assert (said["mean"], said["sd"]) == pytest.approx((known.mean(), np.std(known, ddof=1)), rel=1e-6)


def test_every_table_is_that_of_the_library_on_the_same_numbers(seeds_run, stimuli):
    scores = keyed(seeds_run.images)
    gained = gains(scores, seeds_run.table("consistency"), PAIRS)
    means = category_means(gained, categories(stimuli))
    both = pd.concat([improved(gained), improved(means, "categories")], ignore_index=True)
    expected = {
        "gains": gained,
        "correlations": consistency_correlations(gained),
        "quartiles": quartile_means(gained),
        "improved": both,
        "categories": means,
    }
    for name, table in expected.items():
        found = seeds_run.table(name)
        assert found.pop("dataset").eq("table").all()
        found, table = (t.astype(dict.fromkeys(t.columns.intersection(["quartile"]), float)) for t in (found, table))
        found = found.fillna({"given": ""}) if "given" in found else found
        pd.testing.assert_frame_equal(found, table[list(found.columns)], **EXACT)
    assert list(seeds_run.table("gains").columns[:4]) == ["dataset", "image", "first", "second"]
    assert set(seeds_run.table("categories")["category"]) == {"=cat", "dog"}
    assert seeds_run.summary["at_ceiling"] == [{"dataset": "table", **r} for r in at_ceiling(gained).to_dict("records")]


def test_the_correlation_is_scipys(seeds_run):
    part = seeds_run.table("gains").query("first == 'after-s1' and second == 'before'").dropna()
    assert len(part) == 7
    r = stats.pearsonr(part["consistency"], part["score_first"] - part["score_second"])
    rows = [c for c in seeds_run.summary["correlations"] if (c["first"], c["second"]) == ("after-s1", "before")]
    plain = next(c for c in rows if c["quantity"] == "gain" and c["given"] == "")
    assert (plain["n"], plain["r"], plain["p"]) == pytest.approx((7, r.statistic, r.pvalue), rel=1e-6)


def test_categories_reach_the_run_and_only_where_there_are_objects(seeds_run, stimuli, tmp_path):
    held = load_prepared(seeds_run, "table", [(32, 32)]).categories
    assert len(held) == 24 + 12
    wanted = held[held["image"].isin(stimuli.ids)].reset_index(drop=True)
    pd.testing.assert_frame_equal(wanted, categories(stimuli), check_dtype=False)
    without = Run(tmp_path)
    prepare_points(without, "bare", replace(stimuli, find_objects=None), ("test",) * 8, Human(sigma_px=4.0), 64)
    assert "categories" not in without.about("stimuli/bare.safetensors")
    assert load_prepared(without, "bare", []).categories.empty


def test_two_seeds_are_spread_as_numpy_says(seeds_run):
    found = seeds_run.table("seeds").fillna({"against": ""}).set_index(["model", "against", "metric"])
    assert len(found) == 5 * 3 and not found.index.duplicated().any()
    keyed_scores = keyed(seeds_run.images).pivot(index="image", columns="key", values="nss")
    seeds = [keyed_scores[f"after-s{s}"] - keyed_scores[f"shuffled-s{s}"] for s in (0, 1)]
    row = found.loc["after", "shuffled", "nss"]
    means = [seed.mean() for seed in seeds]
    assert (row["n_seeds"], row["n_images"]) == (2, 8)
    assert row["mean"] == pytest.approx(np.mean(means), rel=1e-5)
    assert row["sd_between_seeds"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5, rel=1e-5)
    assert row["sd_between_images"] == pytest.approx(np.std((seeds[0] + seeds[1]) / 2, ddof=1), rel=1e-5)
    assert (row["lowest"], row["highest"]) == pytest.approx((min(means), max(means)), rel=1e-5)
    own = found.loc["after", "", "nss"]
    assert own["mean"] - found.loc["shuffled", "", "nss"]["mean"] == pytest.approx(row["mean"], rel=1e-4)
    assert len(seeds_run.summary["seeds"]) == len(found)


def test_the_report_says_it(seeds_run):
    page = (seeds_run.path / "report.html").read_text()
    assert "Where did alignment rise?" in page and "Between seeds" in page and "regression to the mean" in page
    labels = {key: key.upper() for pair in PAIRS for key in pair}
    summary = seeds_run.summary
    said = rises(summary, "table", labels)
    assert len(said) == len(PAIRS) and said[0].startswith("AFTER-S0 against BEFORE: CC is higher on")
    rose = summary["improved"][0]
    assert (
        f"{rose['improved']} of 8 images ({rose['share']:.0%}, 95 % interval" in said[0]
        and "of 2 categories" in said[0]
    )
    line = agreement_line(summary, "table", labels)
    assert "over 7 images" in line and f"CC higher on {rose['improved']} of 8" in line and "\n" not in line
    by_category = category_rows(summary, "table", labels)
    assert [row[:2] for row in by_category] == [["category", "images"], ["=cat", "8"], ["dog", "4"]]
    assert all(len(row) == 2 + len(PAIRS) for row in by_category)
    quarters = quartile_rows(summary, "table", labels)
    names = [row[0] for row in quarters]
    assert len(names) == len(set(names)) == 2 + 5 + 2 * len(PAIRS)
    assert quarters[0][1:] == [str(q["n"]) for q in summary["quartiles"] if q["quantity"] == "gain"][:4]
    mean = next(q for q in summary["quartiles"] if q["quantity"] == "gain" and q["quartile"] == 4)
    half = stats.t.ppf(0.975, mean["n"] - 1) * mean["sem"]
    interval = f"[{mean['mean'] - half:.3f}, {mean['mean'] + half:.3f}]" if mean["n"] > 1 else ""
    assert quarters[names.index("gain: AFTER-S0 - BEFORE")][4].split("\n") == [f"{mean['mean']:.3f}", interval]
    assert len(seed_rows(summary, "table", METRICS)) == 15


def test_shares_of_the_way_stand_where_a_metric_has_a_direction_and_humans_beat_the_prior():
    means = {
        "cc": {"human_half": 0.9, "mean_training_map": 0.4, "tuned": 0.5, "worse": 0.39},
        "kl": {"human_half": 0.2, "mean_training_map": 0.7, "tuned": 0.5, "worse": 1.2},
        "nss": {"human_half": 0.8, "mean_training_map": 1.0, "tuned": 0.9, "worse": 0.7},  # the prior beats the humans
        "entropy_bits": {"human_half": 14.0, "mean_training_map": 15.0, "tuned": 14.5, "worse": 15.0},
    }
    rows = []
    for metric, of in means.items():
        low, high = of["mean_training_map"], of["human_half"]
        for model, mean in of.items():
            share = float(share_of_ceiling(mean, low, high))
            place = {"dataset": "hand", "model": model, "metric": metric}
            rows.append({**place, "mean": mean, "sd": 0.1, "share_of_ceiling": share})
    labels = {"tuned": "", "worse": ""}
    found = shares({"alignment": rows}, "hand", labels, {name: METRICS[name] for name in means})
    humans, prior = ["100%", "100%", "", ""], ["0%", "0%", "", ""]
    assert found == [humans, prior, ["20%", "40%", "", ""], ["-2%", "-100%", "", ""]]
    found = shares({"alignment": [r for r in rows if r["model"] != "human_half"]}, "hand", labels, METRICS)
    assert {cell for row in found for cell in row} == {""}


def test_shares_stand_below_the_means(seeds_run, tmp_path):
    # on noise photos all people look at the centre, and humans do not beat the prior: no share but where they did
    assert "<small>0%</small>" not in (seeds_run.path / "report.html").read_text()
    shutil.copytree(seeds_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("cache", "checkpoints"))
    run = Run(tmp_path / "run")
    summary = run.json(SUMMARY)
    next(a for a in summary["alignment"] if (a["model"], a["metric"]) == ("human_half", "cc"))["mean"] = 0.999
    run.write_json(SUMMARY, summary)
    metrics = {name: METRICS[name] for name in SMALL["metrics"]}
    settings, keys = of_run(run).model_dump(mode="json"), seeds_run.summary["training"]
    roles = {"before": "reference"} | dict.fromkeys(keys, "tuned")
    write_report(run, "table", settings, roles, {key: key for key in roles}, metrics)
    page = run.file("report.html").read_text()
    # of one image there is one observer: the prior has a score of all eight, a share over seven
    assert page.count("<small>0% (n = 7)</small>") == page.count("<small>100%</small>") == 1


def test_the_figure_has_its_points_beside_it(seeds_run):
    drawn = pd.read_csv(seeds_run.file("figures/consistency.csv"))
    gained = seeds_run.table("gains").dropna(subset=["consistency", "gain"]).reset_index(drop=True)
    assert len(drawn) == 7 * len(PAIRS)
    pd.testing.assert_frame_equal(drawn, gained[list(drawn.columns)], check_dtype=False)
    assert seeds_run.file("figures/consistency.png").read_bytes().startswith(b"\x89PNG")


def test_where_nothing_is_tuned_each_model_is_set_against_the_reference(monkeypatch, study, capsys):
    small_vit(seed=1).save(study / "other")
    settings = yaml.safe_load((study / "small.yaml").read_text())
    models = {"before": settings["models"]["before"], "third": {"weights": str(study / "other"), "train": "none"}}
    settings = {**settings, **SMALL, "models": {**models, "same": models["before"]}}
    (study / "small.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    assert [(i["first"], i["second"]) for i in run.summary["improved"]] == [("third", "before"), ("same", "before")]
    assert run.table("gains").query("first == 'same'")["gain"].eq(0).all()
    assert not run.file("seeds.csv").exists() and not run.file("categories.csv").exists()
    assert "seeds" not in run.summary and "categories" not in run.summary
    assert "third against before: CC higher on" in " ".join(capsys.readouterr().out.split())
    page = run.file("report.html").read_text()
    assert "same against before: CC is higher on 0 of 8 images" in page and "Between seeds" not in page
    drawn = figures_of(run)
    assert page.count("data:image/") == drawn
    settings["metrics"] = ["nss"]  # no gain in CC: what an earlier run of it left behind is not shown either
    (study / "small.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert run_small(monkeypatch, study, "--resume") == 0
    again = Run(study / "run")
    assert again.summary["consistency"][0]["n"] == 8 and "improved" not in again.summary
    page = again.file("report.html").read_text()
    assert "Where did" not in page and page.count("data:image/") == figures_of(again) < drawn


def figures_of(run):
    """How many figures the run's last attempt drew."""
    return sum(file.endswith(".png") for file in run.stages()["figures"]["outputs"])


def scores_of(**columns):
    """A table of scores from key=values; a key ends in its seed where it has one."""
    rows = []
    for key, values in columns.items():
        name, _, seed = key.partition("_s")
        for i, value in enumerate(values):
            rows.append({"dataset": "hand", "image": f"{i}", "model": name, "seed": seed or None, "cc": value})
    return keyed(pd.DataFrame(rows).astype({"seed": "Int64"}))


def test_pairs_by_role_and_seed():
    one = {key: [0.1] for key in ("base", "tuned_s0", "tuned_s1", "control_s1", "extra")}
    roles = {"base": "reference", "tuned-s0": "tuned", "tuned-s1": "tuned", "control-s1": "control", "extra": "other"}
    expected = [
        *(("tuned-s0", "base"), ("tuned-s1", "base"), ("tuned-s1", "control-s1")),
        *(("control-s1", "base"), ("extra", "base")),
    ]
    assert gain_pairs(scores_of(**one), roles) == expected
    del one["control_s1"]
    assert ("control-s1", "base") not in gain_pairs(scores_of(**one), roles)
    assert gain_pairs(scores_of(base=[0.1]), {"base": "reference"}) == []


def test_seeds_by_hand():
    roles = {"base": "reference", "tuned-s0": "tuned", "tuned-s1": "tuned", "tuned-s2": "tuned"}
    scores = scores_of(
        base=[0.1, 0.3, 0.2, 0.0],
        tuned_s0=[0.2, 0.4, 0.9, 0.0],
        tuned_s1=[0.4, 0.6, 0.9, 0.0],
        tuned_s2=[0.6, 0.8, np.nan, 0.0],  # so the third image counts for no seed
    )
    own, gain = seed_spread(scores, ["cc"], roles).to_dict("records")
    assert (own["model"], own["against"], own["n_seeds"], own["n_images"]) == ("tuned", "", 3, 3)
    # seeds' means .2, 1/3, 1.4/3; images' means .4, .6, 0
    assert own["mean"] == pytest.approx(1 / 3) and own["sd_between_seeds"] == pytest.approx(0.4 / 3)
    assert own["sd_between_images"] == pytest.approx((0.28 / 3) ** 0.5)
    # the reference's mean over the three images is .4 / 3; images' mean gains .3, .3, 0
    assert gain["against"] == "base" and gain["mean"] == pytest.approx(0.2)
    assert gain["sd_between_seeds"] == pytest.approx(own["sd_between_seeds"])
    assert gain["sd_between_images"] == pytest.approx(0.03**0.5)
    assert (gain["lowest"], gain["highest"]) == pytest.approx((0.2 / 3, 1 / 3))
    assert seed_spread(scores[scores["key"].isin(["base", "tuned-s0"])], ["cc"], roles).empty


def test_without_two_observers_or_two_models_nothing_breaks():
    scores, roles = scores_of(base=[0.1, 0.995], tuned_s0=[0.2, 0.9]), {"base": "reference", "tuned-s0": "tuned"}
    alone = pd.DataFrame({"dataset": "hand", "image": ["0", "1"], "n_observers": [1, 0], "consistency": np.nan})
    nothing = {"hand": pd.DataFrame({"image": [], "category": []}, dtype="str")}
    tables = gain_tables(scores, alone, nothing, roles)
    assert list(tables) == ["gains", "correlations", "quartiles", "improved"]
    summary = gain_summary(tables)
    assert summary["at_ceiling"][0]["at_ceiling"] == 1
    as_read = {name: [{k: None if v != v else v for k, v in r.items()} for r in rows] for name, rows in summary.items()}
    sentence = rises(as_read, "hand", {})[0]
    assert "higher on 1 of 2 images" in sentence and "r =" not in sentence and "above .99: 1" in sentence
    assert quartile_rows(as_read, "hand", {}) == [] == category_rows(as_read, "hand", {})
    assert agreement_line(as_read, "hand", {}) == ""
    assert gain_tables(scores[scores["key"] == "base"], alone, nothing, roles) == {}
    assert gain_summary({}) == {}

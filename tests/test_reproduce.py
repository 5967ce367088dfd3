"""The paper's numbers beside a run's: they stand in its text, the rule gives its verdicts, a miss exits with 1."""

import json
import math
import re

import pandas as pd
import pytest
import yaml
from scipy import stats

from conftest import DATA
from gazetune import Run
from gazetune.report.found import CONSTANTS, Ours, find
from gazetune.report.published import d_error, published
from gazetune.report.reproduce import beside
from gazetune.report.subject import Subject
from gazetune.report.tolerance import missed, tolerances
from gazetune.report.verdict import verdict
from gazetune.statistics.paired import paired_test
from worlds import gazetune, run_small

NUMBERS = {number.id: number for number in published()}
PAPER = DATA.parent / "000_356cb38a68ad6659.txt"
CLAIMS = ("above", "below", "every")  # of these the text has no digits


def ours(value, low=None, high=None, n=None, other=()):
    return Ours(float(value), None if low is None else (float(low), float(high)), n, "salicon", "", other)


def word(name, *found, **more):
    return verdict(NUMBERS[name], ours(*found, **more))[0]


# what the paper prints ------------------------------------------------------------------------------------------


def test_every_number_stands_in_the_paper():
    if not PAPER.is_file():
        pytest.skip("needs the paper's text beside the real data (set GAZETUNE_DATA)")
    text = PAPER.read_text("utf-8")
    assert [n.id for n in NUMBERS.values() if n.text not in text] == []


def test_the_literal_holds_the_number():
    wrong = []
    for number in NUMBERS.values():
        digits = number.printed.lstrip("-").removesuffix(".0") or "0"
        plain = number.text.replace(",", "")
        if number.judge in CLAIMS and number.value in (0, 100):
            continue
        if digits not in plain and digits.lstrip("0") not in plain and "e-" not in digits:
            wrong.append(number.id)
    assert wrong == ["cnn_improved.categories", "constants.ambiguous_categories"]  # in words: "a single", "Five"


def test_every_result_of_the_paper_is_there():
    if not PAPER.is_file():
        pytest.skip("needs the paper's text beside the real data (set GAZETUNE_DATA)")
    results = PAPER.read_text("utf-8").partition("\nResults\n")[2].partition("\nDiscussion\n")[0]
    printed = set(re.findall(r"(?:t\(\d+\)|BF01|\bd|\br) = (-?[\d.]*\d)", results))
    assert len(printed) == 30
    assert printed - {number.printed for number in NUMBERS.values()} == set()


def test_ids_are_unique():
    assert len(NUMBERS) == len(published())


def test_an_interval_follows_from_what_is_printed():
    mean = NUMBERS["entropy.baseline"]  # 15.42, SD .09, n 5,000: t(4999) x .09 / 70.71 = .0024953, rounding .005
    assert mean.interval == pytest.approx((15.42 - 0.0074953, 15.42 + 0.0074953), abs=1e-6)
    gap = NUMBERS["object_size_tuned.difference"]  # .009, t 3.96: SE .0022727 x 1.96073 = .0044562, rounding .0005
    assert gap.interval == pytest.approx((0.009 - 0.0049562, 0.009 + 0.0049562), abs=1e-6)
    from_d = NUMBERS["entropy_control_over_baseline.difference"]  # t = -.31 x 70.71 = -21.92: SE .00054744
    assert from_d.interval == pytest.approx((-0.0135732, -0.0104268), abs=1e-6)
    r = NUMBERS["vit_consistency.r"]
    x = stats.zscore(range(5000))
    noise = stats.zscore([((i * 7919) % 5000) for i in range(5000)])
    noise = stats.zscore(noise - x * (x * noise).mean())
    y = -0.55 * x + math.sqrt(1 - 0.55**2) * noise
    low, high = stats.pearsonr(x, y).confidence_interval()  # of a sample with exactly this r
    assert r.interval == pytest.approx((low - 0.005, high + 0.005), abs=1e-6)
    assert NUMBERS["cnn_alignment.cc_tuned"].interval == pytest.approx((0.105, 0.115))  # no SD is printed
    assert NUMBERS["animacy_human.p"].interval is None


def test_what_the_paper_shows():
    shown = {"vit_over_baseline.cc_gain": "> 0", "entropy_tuned_over_human.d": "> 2.6", "animacy_human.p": "< 0.001"}
    shown |= {
        "vit_over_baseline.kl_gain": "< 0",
        "object_size_control.p": "0.836",
        "vit_every_image.images": "all: 100",
    }
    assert {name: NUMBERS[name].shown for name in shown} == shown
    assert NUMBERS["entropy.baseline"].spread and not NUMBERS["cnn_alignment.cc_tuned"].spread
    assert all(f"p {n.shown}" in n.text or "p < ." in n.text for n in NUMBERS.values() if n.judge == "p")


def test_the_error_of_d_is_that_of_samples():
    sample = stats.norm(0.5).rvs((4000, 60), random_state=1)
    drawn = sample.mean(1) / sample.std(1, ddof=1)
    assert d_error(0.5, 60) == pytest.approx(drawn.std(), rel=0.05)
    assert d_error(0.0, 100) == pytest.approx(0.1)


# the rule -------------------------------------------------------------------------------------------------------


def test_effects_on_the_papers_data():
    name = "object_size_tuned.difference"  # +0.009 [.0040, .0140], n 3,068
    assert word(name, 0.008, 0.004, 0.012, 3068) == "reproduced"
    assert word(name, 0.03, 0.025, 0.035, 3068) == "same direction"
    assert word(name, -0.008, -0.012, -0.004, 3068) == "differs"
    assert word(name, 0.004, -0.001, 0.009, 3068) == "differs"  # overlaps, but shows no direction where the paper does
    assert word(name, 0.008, 0.004, 0.012, 2762) == "reproduced"  # n within 10 %
    assert word(name, 0.008, 0.004, 0.012, 2700) == "same direction"
    assert word(name, 0.008, -0.02, 0.036, 30) == "undecided"
    none = "object_size_control.difference"  # the paper finds no direction
    assert word(none, 0.001, -0.003, 0.005, 3068) == "reproduced"
    assert word(none, 0.01, 0.006, 0.014, 3068) == "differs"
    assert word(none, 0.01, 0.006, 0.014, 100) == "not compared"
    assert word("object_size_control.d", 0.03, -0.006, 0.066, 3068) == "reproduced"
    assert word("object_size_control.d", 0.06, 0.02, 0.1, 3068) == "differs"


def test_other_data_are_asked_for_the_direction_alone():
    other = {"n": 3068, "other": ("data osie, not salicon",)}
    assert word("object_size_tuned.difference", 0.008, 0.004, 0.012, **other) == "same direction"
    assert word("object_size_tuned.difference", -0.008, -0.012, -0.004, **other) == "differs"
    assert word("object_size_tuned.difference", 0.008, -0.004, 0.012, **other) == "undecided"
    assert word("entropy.baseline", 15.42, 15.41, 15.43, 5000, ("data osie, not salicon",)) == "not compared"
    assert word("animacy_human.p", 1e-9, **other) == "not compared"
    assert word("vit_training.share", 32.7, other=("weights x",)) == "not compared"
    assert word("vit_every_image.images", 91, 86, 94, **other) == "differs"  # of "every image": one is enough
    assert word("vit_every_image.images", 100, 96, 100, **other) == "same direction"


def test_claims_levels_counts_and_settings():
    assert word("vit_over_baseline.cc_gain", 0.2, 0.19, 0.21, 5000) == "reproduced"
    assert word("vit_over_baseline.kl_gain", 0.2, 0.19, 0.21, 5000) == "differs"
    assert word("entropy_tuned_over_human.d", 2.7, 2.6, 2.8, 5000) == "reproduced"
    assert word("entropy_tuned_over_human.d", 2.5, 2.4, 2.6, 5000) == "same direction"
    assert word("vit_every_image.images", 100, 99.9, 100, 5000) == "reproduced"
    assert word("vit_every_image.images", 99.9, 99.8, 99.95, 5000) == "differs"
    assert word("cnn_improved.images", 14, 13, 15, 5000) == "reproduced"
    assert word("cnn_improved.images", 60, 58, 62, 5000) == "differs"
    assert word("entropy.baseline", 15.43, 15.425, 15.435, 5000) == "reproduced"
    assert word("entropy.baseline", 15.5, 15.49, 15.51, 5000) == "differs"
    assert word("entropy.baseline", 15.4, 15.3, 15.5, 16) == "undecided"
    assert word("animacy_images.n", 2619) == "reproduced" and word("animacy_images.n", 2620) == "differs"
    assert word("vit_training.share", 32.747) == "reproduced" and word("vit_training.share", 32.76) == "differs"
    assert word("settings.batch_size", 8) == "reproduced" and word("settings.batch_size", 16) == "differs"
    assert word("vit_consistency.p", 1e-5, n=5000) == "reproduced"
    assert word("vit_consistency.p", 2e-4, n=5000) == "differs"
    assert word("object_size_control.p", 0.04, n=3068) == "differs"
    assert word("object_size_control.p", 0.05, n=3068) == "reproduced"


def test_bayes_factors_go_by_jeffreys_words():
    assert word("parity_imagenet.bf01", 101, n=50_000) == "reproduced"  # 222 is decisive, as all above 100
    assert word("parity_imagenet.bf01", 99, n=50_000) == "same direction"
    assert word("parity_imagenet.bf01", 0.5, n=50_000) == "differs"
    assert word("parity_imagenet.bf01", 0, n=50_000) == "differs"
    assert word("parity_imagenet.bf01", 2.9, n=500) == "undecided"
    assert word("parity_imagenet.bf01", 3.1, n=500) == "same direction"
    assert word("parity_imagenet.bf01", 0.3, n=500) == "differs"


# a run ----------------------------------------------------------------------------------------------------------


EMPTY = dict.fromkeys(("difference", "ci_low", "ci_high", "t", "d", "mean_first", "mean_second"))


def a_run_like_the_paper(folder, seen="vit"):
    """A run directory whose tables hold the paper's own numbers, each in the row and column where it is looked for."""
    keys = {"A": "baseline", "B": "tuned-s42", "C": "control-s42"}
    tables, images, training = {}, {}, {}
    for number in (n for n in NUMBERS.values() if n.arm in ("people", seen)):
        value, where = number.value / number.scale, {k: keys.get(v, v) for k, v in number.where.items()}
        if number.judge in ("above", "below"):
            value += 0.1 if number.judge == "above" else -0.1
        value *= 0.5 if number.judge == "p" else 1  # a bound
        if number.table == "datasets":
            images[number.column] = int(value)
        elif number.table == "training":
            training[number.column] = value
        elif number.table not in ("config", "constants", "architecture", "classes"):
            dataset = "mine" if number.dataset == "objectnet" else number.dataset
            key = (number.table, dataset, *sorted(where.items()))
            row = tables.setdefault(key, {"dataset": dataset, **where, "n": number.n or 5000})
            row[number.column] = int(value) if number.column == "n" else value
            if number.column not in ("difference", "r", "share", "accuracy_first", "accuracy_second"):
                continue
            low, high = number.interval or (value * number.scale - 1e-9, value * number.scale + 1e-9)
            ends = {"accuracy_first": "accuracy_{}_first", "accuracy_second": "accuracy_{}_second"}
            names = [ends.get(number.column, "ci_{}").format(end) for end in ("low", "high")]
            row |= dict(zip(names, (low / number.scale, high / number.scale), strict=True))
    summary = {"experiment": "paper", "datasets": {"salicon": {"images": images}}}
    state = {"learnable": round(0.327 * 86_567_656), "parameters": 86_567_656}
    summary["training"] = {"tuned-s42": state} if training else {}
    for (table, *_), row in tables.items():
        if "d" in row and "t" not in row and table in ("tests", "bias_tests"):
            row["t"] = row["d"] * math.sqrt(row["n"])
        summary.setdefault(table, []).append({**EMPTY, **row} if "first" in row else row)
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text("name: paper\n")
    attention, lr, weight = ("rollout", 1e-5, 1.0) if seen == "vit" else ("gradcam", 5e-6, 0.01)
    start = {"vit": "google/vit-base-patch16-224", "cnn": "models/resnet-50"}[seen]
    settings = {
        "data": {"kind": "salicon"},
        "reference": "baseline",
        "attention": attention,
        "models": {
            name: {"weights": start, "targets": targets}
            for name, targets in (("baseline", "true_pairs"), ("tuned", "true_pairs"), ("control", "shuffled"))
        },
        "training": {
            **{"lr": lr, "lambda_attention": weight, "batch_size": 8, "epochs": 20, "evaluate_every": 200},
            **{"patience": 3, "min_improvement": 0.001, "shuffle_seed": 42},
        },
        "human": {"sigma_px": 15.0},
        "map_size": 224,
        "parity": {
            "imagenet": {"kind": "imagenet"},
            "imagenet_c": {"kind": "imagenet", "corruptions": ["fog"], "severities": [5]},
            "mine": {"kind": "objectnet"},
        },
    }
    roles = {"baseline": "reference", "tuned-s42": "tuned", "control-s42": "control"}
    return Subject(Run(folder), settings, roles)


@pytest.mark.parametrize("seen", ["vit", "cnn"])
def test_the_papers_own_numbers_are_reproduced(tmp_path, seen):
    table = beside(a_run_like_the_paper(tmp_path / "run", seen))
    told = table[table["arm"].isin(["people", seen]) & (table["verdict"] != "reproduced")]
    assert set(told["id"]) <= {
        *(f"vit_architecture.{c}" for c in ("patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads")),
        *("classes.imagenet", "classes.objectnet"),  # from files that this run does not have
    }, told[["id", "ours", "reason"]].to_string()
    of_others = table[~table["arm"].isin(["people", seen])]
    assert set(of_others["verdict"]) == {"not run"} and len(of_others) > 10
    values = table.dropna(subset=["ours"]).query("judge not in ['above', 'below', 'p']")
    exact = values[~values["id"].isin(["vit_training.parameters", "vit_training.share"])]
    assert len(exact) > 20
    pd.testing.assert_series_equal(exact["ours"], exact["paper"], check_names=False, rtol=1e-12)


def test_pairs_tested_the_other_way_round_are_turned(tmp_path):
    subject = a_run_like_the_paper(tmp_path / "run")
    at = [r for r in subject.run.summary["tests"] if r["metric"] == "entropy_bits" and r["second"] == "baseline"]
    row = next(r for r in at if r["first"] == "tuned-s42")
    row |= {"first": "baseline", "second": "tuned-s42", "difference": 0.043, "ci_low": 0.042, "ci_high": 0.044}
    row |= {"t": 61.9, "d": 0.88, "mean_first": 15.42, "mean_second": 15.38}
    found = find(subject, NUMBERS["entropy_tuned_over_baseline.difference"])
    assert (found.value, found.interval) == (-0.043, (-0.044, -0.042))
    assert find(subject, NUMBERS["entropy_tuned_over_baseline.t"]).value == -61.9


def test_what_makes_a_number_another_is_said(tmp_path):
    subject = a_run_like_the_paper(tmp_path / "run")
    for model in subject.settings["models"].values():
        model["weights"] = "/somewhere/dinov2_small"
    subject.settings["limit"] = 16
    table = beside(subject).set_index("id")
    assert "weights dinov2_small, not google/vit-base-patch16-224" in table.loc["vit_over_baseline.cc_gain", "other"]
    assert "at most 16 images" in table.loc["vit_over_baseline.cc_gain", "other"]
    assert table.loc["vit_over_baseline.cc_gain", "verdict"] == "same direction"
    assert table.loc["animacy_human.difference", "verdict"] == "reproduced"  # of people: no model in it
    assert table.loc["data.train", "verdict"] == "not compared"
    assert table.loc["entropy.human", "verdict"] == "not compared"  # a level of the first few images is not the paper's
    subject.settings["models"]["tuned"]["weights"] = "/elsewhere"
    assert find(subject, NUMBERS["vit_over_baseline.cc_gain"]) == "the run has no tuned model"
    assert find(subject, NUMBERS["settings.epochs"]) == "the run has no tuned model"  # its setting was of no use
    assert find(subject, NUMBERS["settings.sigma_px"]).value == 15
    del subject.settings["models"]["control"], subject.roles["control-s42"]
    subject.settings["models"]["tuned"]["weights"] = "/somewhere/dinov2_small"
    assert find(subject, NUMBERS["vit_over_control.cc_gain"]) == "the run has no control model of shuffled maps"


def test_a_cnn_of_its_own_method_belongs_to_the_papers_cnn(tmp_path):
    """docs/cnn.md: Grad-CAM and the learning rate stand in the models' rows, a transformer stands beside them."""
    subject = a_run_like_the_paper(tmp_path / "run", "cnn")
    settings, models = subject.settings, subject.settings["models"]
    settings["attention"] = "rollout"
    settings["training"] |= {"lr": 1e-5, "lambda_attention": 1.0}
    for name in ("baseline", "tuned", "control"):
        models[name]["attention"] = "gradcam"
    models["tuned"]["training"] = {"lr": 5e-6, "lambda_attention": 0.01}
    vit = {"weights": "google/vit-base-patch16-224", "targets": "true_pairs"}
    settings["models"] = {"vit": vit, **models}
    roles = {"vit-s42": "tuned", **subject.roles}
    table = beside(Subject(subject.run, settings, roles)).set_index("id")
    assert table.loc["vit_over_baseline.cc_gain", "reason"] == "of the paper's VIT; the maps of this run are gradcam"
    for name in (
        "cnn_over_baseline.cc_gain",
        "cnn_alignment.cc_tuned",
        "cnn_settings.lr",
        "cnn_settings.lambda_attention",
    ):
        assert table.loc[name, "verdict"] == "reproduced", table.loc[name]
    models["tuned"]["attention"] = "relevance"
    table = beside(Subject(subject.run, settings, roles)).set_index("id")
    assert table.loc["cnn_alignment.cc_tuned", "other"] == "maps by relevance, not gradcam"
    assert table.loc["cnn_alignment.cc_baseline", "verdict"] == "reproduced"


def test_constants_are_the_codes():
    assert CONSTANTS["kl_epsilon"] == 1e-10 and CONSTANTS["jeffreys_very_strong"] == 30
    assert {n.column for n in NUMBERS.values() if n.table == "constants"} <= set(CONSTANTS)


def test_intervals_of_ours_are_those_of_the_test(tmp_path):
    """A t and a d of a real paired test: the interval of t is that of d times sqrt(n)."""
    a, b = stats.norm.rvs(0.3, size=400, random_state=3), stats.norm.rvs(size=400, random_state=4)
    test = paired_test(a, b)
    subject = a_run_like_the_paper(tmp_path / "run")
    row = next(r for r in subject.run.summary["bias_tests"] if r["first"] == "tuned-s42" and r["kind"] == "within")
    row |= {"n": 400, "t": test.t, "d": test.d}
    d, t = (find(subject, NUMBERS[f"animacy_tuned.{c}"]) for c in "dt")
    assert t.interval == pytest.approx([20 * end for end in d.interval])
    bounds = stats.nct.ppf([0.975, 0.025], 399, test.t)  # the sampling of t around itself, by another way
    assert t.interval == pytest.approx(bounds[::-1], abs=0.15)


# tolerances and the command ---------------------------------------------------------------------------------------


def test_tolerances(tmp_path):
    table = beside(a_run_like_the_paper(tmp_path / "run"))
    file = tmp_path / "tolerances.yaml"
    file.write_text("entropy.human: {abs: 0.01}\nanimacy_human.t: {value: 15, rel: 0.02}\n")
    assert missed(table, tolerances(file)) == []  # |14.77 - 15| = .23 <= .3
    file.write_text("animacy_human.t: {value: 15, rel: 0.01}\ncnn_alignment.cc_tuned: {abs: 1}\n")
    found = missed(table, tolerances(file))
    assert found[0] == "animacy_human.t: 14.77, needed 15 within 0.15" and "not run (of the paper's CNN" in found[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entropy.human: 0.02", "write entropy.human: {abs: 0.02}"),
        ("vit_over_baseline.cc_gain: {rel: 0.05}", "a bound, > 0. Say which value"),
        ("vit_consistency.p: {abs: 0.05}", "a bound, < 0.0001. Say which value"),
        ("cc: {abs: 1}", "the paper has no number 'cc'"),
        ("entropy.human: {value: 3}", "needs abs or rel"),
        ("entropy.human: {abs: -1}", "not negative"),
        ("entropy.human: {abs: 1, rel: 1}", "one of them"),
        ("entropy.human: {absolute: 1}", "not permitted"),
        ("- 3", "must say for each number"),
        ("{", "is not valid YAML"),
    ],
)
def test_wrong_tolerances(tmp_path, text, said):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(Exception, match=said) as caught:
        tolerances(tmp_path / "t.yaml")
    assert caught.value.exit_code == 2


def test_the_command_on_any_run(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--set", "training.epochs=1", "--set", "heads=false") == 0
    run = Run(study / "run")
    capsys.readouterr()
    assert gazetune(monkeypatch, "reproduce", run.path) == 0
    said = capsys.readouterr().out
    assert "results:" in said and "setting settings.sigma_px: 4, not 15" in said and "data table, not salicon" in said
    table = run.table("reproduce").set_index("id")
    test = run.tests.query("metric == 'cc' and first == 'after-s42' and second == 'before'").iloc[0]
    row = table.loc["vit_over_baseline.cc_gain"]
    assert row["ours"] == pytest.approx(test["difference"], rel=1e-8)
    assert row[["ours_low", "ours_high"]].tolist() == pytest.approx([test["ci_low"], test["ci_high"]], rel=1e-8)
    assert set(table["verdict"]) <= {"reproduced", "same direction", "differs", "undecided", "not compared", "not run"}
    assert not (table.query("judge != 'setting'")["verdict"] == "reproduced").any()  # another data set, another model
    assert table.loc["animacy_human.t", "text"].startswith("t(2618)")
    page = run.file("reproduce.html").read_text()
    assert "same direction" in page and "&lt; 0.001" in page
    assert gazetune(monkeypatch, "reproduce", run.path, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == len(NUMBERS)
    file = study / "t.yaml"
    file.write_text(yaml.safe_dump({"vit_over_baseline.cc_gain": {"value": float(test["difference"]), "abs": 1e-6}}))
    assert gazetune(monkeypatch, "reproduce", run.path, "--check", file) == 0
    file.write_text("vit_over_baseline.cc_gain: {value: 9, abs: 0.1}\nparity_imagenet.bf01: {rel: 0.1}\n")
    assert gazetune(monkeypatch, "reproduce", run.path, "--check", file) == 1
    error = capsys.readouterr().err
    assert "vit_over_baseline.cc_gain: " in error and "needed 9 within 0.1" in error
    assert "parity_imagenet.bf01: not run" in error
    assert gazetune(monkeypatch, "reproduce", study) == 2

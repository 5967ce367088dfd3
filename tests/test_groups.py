"""Groups of observers and conditions of images: read from a study's table, tested, and reported."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from gazetune import Run, load_table, paired_test
from gazetune.data.levels import Levels
from gazetune.errors import InputError
from gazetune.statistics.groups import welch_anova, welch_t
from gazetune.tables.groups import compare_groups
from gazetune.tables.observers import PairScores, load_pairs, observer_means
from worlds import gazetune, run_small, small_vit, write_study

# --- Welch -----------------------------------------------------------------------------------------------------


def test_welch_t_by_hand():
    found = welch_t([1, 2, 3], [2, 4, 6, np.nan])
    # variances 1 and 4, so SE^2 = 1/3 + 4/3 = 5/3; df = (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2)
    assert (found.n_first, found.n_second, found.difference) == (3, 3, -2)
    assert found.t == pytest.approx(-2 / np.sqrt(5 / 3)) and found.df == pytest.approx(50 / 17)
    assert found.d == pytest.approx(-2 / np.sqrt(2.5))
    other = welch_t([2, 4, 6], [1, 2, 3])
    assert (other.t, other.p, other.ci_low) == pytest.approx((-found.t, found.p, -found.ci_high))


def test_welch_as_scipy_does_it():
    rng = np.random.default_rng(0)
    groups = [rng.normal(0, sd, n) for sd, n in ((1, 5), (3, 12), (0.5, 8))]
    ours, theirs = welch_t(*groups[:2]), stats.ttest_ind(*groups[:2], equal_var=False)
    assert (ours.t, ours.df, ours.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue))
    assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(theirs.confidence_interval()))
    two = welch_anova(groups[:2])
    assert (two.f, two.df1, two.df2, two.p) == pytest.approx((ours.t**2, 1, ours.df, ours.p))
    moved = welch_anova([7 - 2 * g for g in reversed(groups)])
    assert moved.f == pytest.approx(welch_anova(groups).f)


def test_welch_anova_as_scipy_does_it():
    groups = [np.random.default_rng(i).normal(i / 3, 1 + i, 6 + i) for i in range(4)]
    try:
        theirs = stats.f_oneway(*groups, equal_var=False)
    except TypeError:
        pytest.skip("needs a scipy whose f_oneway knows equal_var")
    ours = welch_anova(groups)
    assert (ours.f, ours.p, ours.n) == pytest.approx((theirs.statistic, theirs.pvalue, 30))


def test_welch_of_too_little_is_nan():
    assert np.isnan(welch_t([1], [2, 3]).t) and welch_t([1], [2, 3]).difference == -1.5
    assert np.isnan(welch_t([], [2, 3]).difference)
    assert np.isnan(welch_t([1, 1], [2, 2]).p)
    two = welch_t([1, 2], [2, 3, 5], unit="observer")
    assert np.isnan([two.t, two.p, two.ci_low, two.d]).all() and two.difference == pytest.approx(1.5 - 10 / 3)
    assert two.reason == "fewer than 3 observers in a group" and welch_t([1, 2, 3], [2, 3, 5]).reason == ""
    assert welch_t([1, 1, 1], [2, 2, 2]).reason == "no spread within a group"
    few = welch_anova([[1, 2, 4], [3, 4, 6], [5, 6]])
    assert np.isnan(few.f) and few.reason == "fewer than 3 images in a group"
    assert welch_anova([[1, 2, 4], [3, 3, 3]]).reason == "no spread within a group"


# --- columns of a study ----------------------------------------------------------------------------------------


def with_columns(folder, **columns):
    """The study with more columns, each a function of (image, observer)."""
    table = pd.read_csv(folder / "fixations.csv", keep_default_na=False)
    for name, of in columns.items():
        table[name] = [of(i, o) for i, o in zip(table["image"], table["observer"], strict=True)]
    table.to_csv(folder / "fixations.csv", index=False)
    return folder


def group(image, observer):
    return "patient" if observer in ("o0", "o2") else "control"


def turned(image, observer):
    return "inverted" if int(image[1:4]) % 4 < 2 else "upright"


def test_conditions_and_groups_are_told_apart(tmp_path):
    def some(image, observer):
        return "" if observer == "o3" else "a" if observer == "o0" else "b"

    with_columns(write_study(tmp_path, n=4), group=group, turned=turned, some=some)
    study = load_table(tmp_path, by=("group", "turned", "some"))
    assert study.observers == ("o0", "o1", "o2", "o3")
    patients = {"o0": "patient", "o1": "control", "o2": "patient", "o3": "control"}
    assert study.levels["group"] == Levels("observer", patients)
    assert study.levels["turned"].unit == "image" and study.levels["turned"].of["p002.png"] == "upright"
    assert study.levels["some"].of == {"o0": "a", "o1": "b", "o2": "b"}
    assert study[1:3].observers == study.observers and study[1:3].levels == study.levels
    assert load_table(tmp_path).levels == {} and load_table(tmp_path).fingerprint() == study.fingerprint()


def test_observers_are_part_of_the_data(tmp_path):
    study = load_table(write_study(tmp_path, n=2))
    with_columns(tmp_path, observer=lambda i, o: o.replace("o", "s"))
    assert load_table(tmp_path).fingerprint() != study.fingerprint()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("mixed", "image 'p000.png' has 'x' and 'y'.*observer 'o0' has 'x' and 'y'"),
        ("gruop", "no such column. There are: .*mixed"),
        ("x", "another use"),
        ("observer", "another use"),
        ("age", "needed 2 to 20 levels, .* has 24"),
        ("one", "needed 2 to 20 levels, .* has 1"),
    ],
)
def test_columns_that_say_no_group(tmp_path, column, message):
    def mixed(image, observer):
        return "y" if (int(image[1:4]) + int(observer[1])) % 2 else "x"

    write_study(tmp_path, n=24)
    with_columns(tmp_path, mixed=mixed, age=lambda i, o: i, one=lambda i, o: "all")
    with pytest.raises(InputError, match=message):
        load_table(tmp_path, by=[column])


# --- tests within levels and between -----------------------------------------------------------------------------


def table_of(values):
    """One row per image and model, values[model][image]."""
    rows = [(f"i{k}", key, v) for key, column in values.items() for k, v in enumerate(column)]
    return pd.DataFrame(rows, columns=["image", "key", "cc"]).assign(dataset="d")


def test_three_levels_and_a_missing_one(capsys):
    rng = np.random.default_rng(0)
    table = table_of({"base": rng.normal(size=10), "tuned": rng.normal(size=10)})
    levels = Levels("image", {f"i{k}": "abc"[k % 3] for k in range(9)})
    groups, tests = compare_groups("d", "kind", levels, table, ["cc"], ["base", "tuned"], ["base", "tuned"])
    assert "1 of 10 images of 'd' have no 'kind'" in capsys.readouterr().err
    assert groups["n"].tolist() == [3] * 6 and groups["level"].unique().tolist() == ["a", "b", "c"]
    assert tests["test"].tolist() == ["within"] * 3 + ["interaction"]
    wide = table.pivot(index="image", columns="key", values="cc")
    gap = (wide["tuned"] - wide["base"]).to_numpy()
    last = tests.iloc[3]
    assert (last["level"], last["n"], last["df"]) == ("all levels", 9, 2)
    assert last["f"] == pytest.approx(welch_anova([gap[k:9:3] for k in range(3)]).f)
    within = paired_test(wide["tuned"].iloc[0:9:3], wide["base"].iloc[0:9:3])
    assert (tests.loc[0, "t"], tests.loc[0, "p_holm"]) == pytest.approx((within.t, within.p))


def test_a_level_without_a_value_and_one_of_two_images():
    table = table_of({"base": [1.0, 2, 4, 7, 1, 2, np.nan, np.nan], "tuned": [2.0, 2, 5, 9, 3, 1, np.nan, np.nan]})
    levels = Levels("image", dict(zip(table["image"].unique(), "aaaabbcc", strict=True)))
    groups, tests = compare_groups("d", "kind", levels, table, ["cc"], ["base", "tuned"], ["base", "tuned"])
    assert groups["level"].tolist() == ["a", "a", "b", "b"] and groups["n"].tolist() == [4, 4, 2, 2]
    tests = tests.set_index("level")
    assert tests["n"].to_dict() == {"a": 4, "b": 2, "c": 0, "all levels": 6}
    assert tests["reason"].to_dict() == {
        "a": "", "b": "fewer than 3 images", "c": "fewer than 3 images", "all levels": "fewer than 3 images in a group"
    }  # fmt: skip
    assert tests["p"].isna().tolist() == [False, True, True, True] and tests.loc["b", "difference"] == 0.5
    none = table.assign(cc=np.nan)
    groups, tests = compare_groups("d", "kind", levels, none, ["cc"], ["base", "tuned"], ["base", "tuned"])
    assert groups.empty and tests.empty


def test_two_rows_are_compared_over_the_images_that_both_have():
    # observers 0 to 2 are patients, 3 to 5 controls; on images 2 and 3, where all is easy, "some" has no map
    image, observer = np.repeat(np.arange(4), 6), np.tile(np.arange(6), 4)
    base = np.where(image < 2, 0.1, 0.9) + 0.01 * (observer * (image + 1) % 5)
    some = np.where(image < 2, base + np.where(observer < 3, 0.2, 0.3) + 0.01 * observer, np.nan)
    values = np.stack([base, some])[:, None].astype(np.float32)
    pairs = PairScores(values, image, observer, ("base", "some"), ("cc",), tuple("abcdef"))
    means = observer_means(pairs, "cc", "some", "base")
    assert means.index.tolist() == list("abcdef")
    np.testing.assert_allclose(means["some"] - means["base"], [0.2, 0.21, 0.22, 0.33, 0.34, 0.35], atol=1e-6)
    frame = pd.DataFrame({"base": base, "some": some}).groupby(observer).mean()
    table = pd.DataFrame(
        [("d", "abcdef"[o], key, frame.loc[o, key]) for key in frame for o in frame.index],
        columns=["dataset", "observer", "key", "cc"],
    )
    levels = Levels("observer", dict(zip("abcdef", ["patient"] * 3 + ["control"] * 3, strict=True)))
    order = ["base", "some"]
    _, tests = compare_groups("d", "by", levels, table, ["cc"], order, order, partial(observer_means, pairs))
    assert tests["difference"].tolist() == pytest.approx([0.34, 0.21, 0.13], abs=1e-6)


def test_one_level_left_has_no_interaction(capsys):
    table = table_of({"base": [1.0, 2, 3], "tuned": [2.0, 2, 5]})
    _, tests = compare_groups(
        "d", "kind", Levels("image", dict.fromkeys(("i0", "i1", "i2"), "a")), table, ["cc"], ["base", "tuned"], ["base"]
    )
    assert tests["test"].tolist() == ["within"] and "no interaction" in capsys.readouterr().err


# --- whole runs --------------------------------------------------------------------------------------------------


@pytest.fixture()
def people(study):
    """The study with groups and conditions, and two models that do not train."""
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["models"] = {name: {"weights": str(study / name)} for name in ("one", "two")}
    settings["reference"], settings["metrics"] = "one", ["cc", "nss", "auc_judd", "kl"]
    settings["data"]["split"] = {"rule": "all_test"}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    small_vit(1).save(study / "one")
    small_vit(2).save(study / "two")
    with_columns(study / "study", group=group, turned=turned)
    return study


def test_a_run_by_groups_and_conditions(monkeypatch, people, capsys):
    rows = iter(range(24 * 20))
    names = ("NA", "=1", "o2", "o3", "o4", "o5")  # six observers: a test needs three in each group
    with_columns(people / "study", observer=lambda i, o: names[next(rows) % 20 % 6])
    with_columns(people / "study", group=lambda i, o: "patient" if o in ("NA", "o2", "o4") else "control")
    assert run_small(monkeypatch, people, "--limit", "12", "--by", "group", "--by", "turned") == 0
    said, run = capsys.readouterr(), Run(people / "run")
    observers = run.table("observers")
    rows = ["human_one_out", "centre_gaussian", "other_images", "one", "two"]
    assert observers["model"].drop_duplicates().tolist() == rows
    assert sorted(observers["observer"].unique()) == ["=1", "NA", "o2", "o3", "o4", "o5"]
    assert (observers["n_images"] == 12).all() and observers["cc_sd"].notna().all() and "kl" not in observers
    # groups of observers: the unit is the observer, with the mean over the images
    wide = observers.pivot(index="observer", columns="model", values="cc")
    gap = wide["two"] - wide["one"]
    group_tests = run.table("group_tests").query("first == 'two' and second == 'one' and metric == 'cc'")
    found = group_tests.query("by == 'group' and test == 'interaction'").iloc[0]
    expected = stats.ttest_ind(gap[["=1", "o3", "o5"]], gap[["NA", "o2", "o4"]], equal_var=False)
    assert (found["level"], found["unit"], found["n"]) == ("control - patient", "observer", 6)
    expected = (expected.statistic, expected.pvalue, expected.df)
    assert (found["t"], found["p"], found["df"]) == pytest.approx(expected, rel=1e-4)  # from scores in float32
    # conditions of images: the unit is the image
    by_image = run.images.pivot(index="image", columns="model", values="cc")
    condition = np.array([turned(i, "") for i in by_image.index])
    within = group_tests.query("by == 'turned' and level == 'upright'").iloc[0]
    upright = by_image[condition == "upright"]
    assert within["t"] == pytest.approx(paired_test(upright["two"], upright["one"]).t)
    means = run.table("groups").query("by == 'turned' and level == 'inverted' and model == 'two' and metric == 'kl'")
    kl = run.images.pivot(index="image", columns="model", values="kl")[condition == "inverted"]["two"]
    assert means[["n", "mean", "sd"]].iloc[0].tolist() == pytest.approx([6, kl.mean(), kl.std()])
    assert means["mean"].iloc[0] != run.images.query("model == 'two'")["kl"].mean()
    # said in every place
    assert "group, CC of two against one: control - patient = " in said.out.replace("\n", " ")
    assert {"observers", "observer_tests", "groups", "group_tests"} <= run.summary.keys()
    report = (people / "run" / "report.html").read_text()
    assert "Observer by observer" in report and "control - patient" in report and "upright" in report


def test_maps_of_some_images_are_compared_with_a_model_over_these(monkeypatch, people):
    maps = people / "maps"
    maps.mkdir()
    for i in range(8):
        ramp = np.random.default_rng(i).random((64, 64))
        np.save(maps / f"p{i:03d}.npy", ramp)
    settings = yaml.safe_load((people / "small.yaml").read_text())
    settings["models"]["some"] = {"maps": str(maps)}
    (people / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, people, "--limit", "14", "--by", "group", "--skip-bad") == 0
    run = Run(people / "run")
    tests = run.table("group_tests").query(
        "test == 'within' and metric == 'cc' and first == 'some' and second == 'one'"
    )
    pairs = load_pairs(run, "table")
    gap = pairs.of("some", "cc") - pairs.of("one", "cc")
    assert np.isnan(gap).sum() == 6 * 4
    own = pd.Series(gap).groupby(pairs.observer).mean()
    expected = {"control": own[[1, 3]].mean(), "patient": own[[0, 2]].mean()}
    assert tests.set_index("level")["difference"].to_dict() == pytest.approx(expected, rel=1e-6)
    assert set(tests["reason"]) == {"fewer than 3 observers"} and tests["p"].isna().all()


@pytest.mark.slow
def test_groups_later_neither_train_nor_score_again(monkeypatch, people, capsys):
    assert run_small(monkeypatch, people, "--limit", "8") == 0
    run = Run(people / "run")
    scores = run.file("scores/table-pairs.safetensors").read_bytes()
    assert not run.file("groups.csv").exists() and run.file("observers.csv").exists()
    assert "Groups and conditions" not in run.file("report.html").read_text()
    capsys.readouterr()
    assert gazetune(monkeypatch, "score", people / "run", "--by", "group") == 0
    said = capsys.readouterr().err
    assert "fixations/table: done before, kept" in said and "score/table: done before, kept" in said
    assert set(run.table("groups")["by"]) == {"group"}
    assert run.file("scores/table-pairs.safetensors").read_bytes() == scores
    other = with_columns(write_study(people / "other", n=5, seed=9), group=group)
    assert gazetune(monkeypatch, "score", people / "run", "--data", f"table:other={other}", "--by", "group") == 0
    assert set(run.table("groups")["dataset"]) == set(run.table("observers")["dataset"]) == {"table", "other"}


def test_a_wrong_column_is_said_before_anything_is_done(monkeypatch, people, capsys):
    assert run_small(monkeypatch, people, "--by", "gruop") == 2
    assert "--by gruop" in capsys.readouterr().err and not (people / "run").exists()
    settings = yaml.safe_load((people / "small.yaml").read_text())
    settings["data"] = {"kind": "synthetic", "world": {"images": 7}, "split": {"rule": "all_test"}}
    (people / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, people, "--by", "group") == 2
    assert "'synthetic' has none" in capsys.readouterr().err

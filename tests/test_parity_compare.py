from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from scipy import stats

from conftest import data_folder
from gazetune.errors import InputError
from gazetune.figures.bayes import draw_sensitivity, drawn_rows, write_bayes
from gazetune.figures.palette import Look
from gazetune.parity.compare import ALL_ALIKE, NO_DISCORDANT, TOO_FEW, parity, parity_by, sensitivity
from gazetune.run import Run
from gazetune.statistics.agreement import clustered, equivalence, mcnemar
from gazetune.statistics.bayes import bf01_jzs, bf01_unit
from gazetune.statistics.intervals import wilson
from gazetune.statistics.multiple import holm


def table(dataset="val", corruptions=None, **correct):
    """Predictions of models, given as one value an image (and corruption)."""
    parts = []
    for key, values in correct.items():
        values = np.asarray(values)
        rows = {"dataset": dataset, "key": key}
        if corruptions is None:
            rows["image"] = [f"{i:04d}" for i in range(len(values))]
        else:
            pairs = list(product(range(len(values)), corruptions))
            rows |= {"image": [f"{i:04d}" for i, _ in pairs], "corruption": [c for _, c in pairs]}
        parts.append(pd.DataFrame({**rows, "correct": values.ravel()}))
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(label=[int(name) % 3 for name in whole["image"]])


def random(seed, shape, share=0.8, flips=0.06):
    """Right or wrong answers of two models that differ on a few."""
    rng = np.random.default_rng(seed)
    a = rng.random(shape) < share
    return a, np.where(rng.random(shape) < flips, ~a, a)


# single tests ---------------------------------------------------------------------------------------------------


def test_mcnemar_by_hand():
    # discordant 3 : 1, two-sided 2 * (C(4,3) + C(4,4)) / 2^4 = 10/16
    found = mcnemar([1, 1, 1, 0, 1, 0], [0, 0, 0, 1, 1, 0])
    assert (found.only_first, found.only_second) == (3, 1)
    assert found.p == pytest.approx(10 / 16)
    assert mcnemar([1, 0], [1, 0]).p == 1
    with pytest.raises(ValueError, match="0 or 1"):
        mcnemar([0.5], [1])


@given(st.integers(0, 10**6), st.integers(4, 400))
@settings(max_examples=25, deadline=None)
def test_mcnemar_is_a_binomial_tail_and_turns_with_the_order(seed, n):
    a, b = random(seed, n, flips=0.3)
    found, turned = mcnemar(a, b), mcnemar(b, a)
    assert (turned.only_first, turned.only_second, turned.p) == (found.only_second, found.only_first, found.p)
    least, k = min(found.only_first, found.only_second), found.only_first + found.only_second
    assert found.p == pytest.approx(min(1, 2 * stats.binom.cdf(least, k, 0.5)))


def test_equivalence_is_two_shifted_t_tests():
    a, b = random(1, 3000)
    found = equivalence(a, b, 0.015)
    gap = a.astype(float) - b
    above = stats.ttest_1samp(gap, -0.015, alternative="greater").pvalue
    below = stats.ttest_1samp(gap, 0.015, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    interval = stats.ttest_1samp(gap, 0).confidence_interval(0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))
    assert equivalence(b, a, 0.015).p == pytest.approx(found.p)


@given(st.integers(0, 10**6), st.floats(0.002, 0.2))
@settings(max_examples=40, deadline=None)
def test_equivalent_where_the_90_percent_interval_lies_within_the_margin(seed, margin):
    found = equivalence(*random(seed, 500, flips=0.1), margin)
    assert (found.p < 0.05) == (-margin < found.ci_low and found.ci_high < margin)


def test_equivalence_without_a_spread():
    # if the models differed by a point or more, 100 images without a difference would have probability .99^100
    assert equivalence(np.ones(100), np.ones(100)).p == pytest.approx(0.99**100)
    assert equivalence(np.ones(100), np.zeros(100)).p == 1
    assert np.isnan(equivalence(np.full(9, 0.505), np.full(9, 0.5)).p)
    assert np.isnan(equivalence([1.0], [1.0]).p)
    with pytest.raises(ValueError, match="margin between 0 and 1"):
        equivalence([1, 0], [1, 1], 1.0)


def test_design_effect_by_hand():
    # two images, three copies each, all copies alike: differences 1 1 1 0 0 0
    found = clustered([1, 1, 1, 0, 0, 0], np.zeros(6), list("aaabbb"))
    assert found.first.tolist() == [1, 0]
    # variances .3 / 6 = .05 and .5 / 2 = .25
    assert found.design_effect == pytest.approx(5)
    assert found.effective_n == pytest.approx(6 / 5)


def test_the_design_effect_is_kishs_for_equal_groups():
    # 1 + (m - 1) ICC, with the ANOVA estimate of the intraclass correlation (large number of groups)
    rng = np.random.default_rng(0)
    gap = np.clip(rng.normal(size=(4000, 1)) * 0.5 + rng.normal(size=(4000, 5)), -3, 3)
    between = 5 * gap.mean(1).var(ddof=1)
    within = gap.var(axis=1, ddof=1).mean()
    icc = (between - within) / (between + 4 * within)
    found = clustered(gap.ravel(), np.zeros(gap.size), np.repeat(np.arange(4000), 5))
    assert found.design_effect == pytest.approx(1 + 4 * icc, rel=1e-3)


def test_without_copies_there_is_no_design_effect():
    a, b = random(2, 200)
    assert clustered(a, b, np.arange(200)).design_effect == pytest.approx(1)
    assert np.isnan(clustered([1, 1], [1, 1], [0, 1]).effective_n)


# tables ---------------------------------------------------------------------------------------------------------


def test_a_row_against_scipy():
    before, after = random(3, 1000)
    found = parity(table(before=before, after=after), "before").iloc[0]
    assert (found["first"], found["second"], found["unit"], found["n"]) == ("after", "before", "prediction", 1000)
    theirs = stats.ttest_rel(after.astype(float), before.astype(float))
    assert (found["t"], found["p"], found["df"]) == pytest.approx((theirs.statistic, theirs.pvalue, 999))
    assert found["difference"] == pytest.approx(after.mean() - before.mean())
    assert (found["accuracy_low_first"], found["accuracy_high_first"]) == wilson(int(after.sum()), 1000)
    assert found["only_first"] == (after & ~before).sum()
    assert found["mcnemar_p"] == mcnemar(after, before).p
    assert found["bf01_jzs"] == pytest.approx(bf01_jzs(theirs.statistic, 1000))
    assert found["bf01_jzs_r1"] == pytest.approx(bf01_jzs(theirs.statistic, 1000, 1))
    assert found["bf01_unit"] == pytest.approx(bf01_unit(theirs.statistic, 1000))
    assert found["ceiling_jzs_r1"] == pytest.approx(bf01_jzs(0, 1000, 1))
    assert found["ceiling_unit"] == pytest.approx(1000**0.5)
    assert found["tost_p"] == equivalence(after, before).p
    assert found["reason"] is None


def test_the_order_of_the_rows_does_not_matter():
    before, after = random(4, (40, 3))
    predictions = table(corruptions=["fog", "snow", "jpeg"], before=before, after=after)
    mixed = predictions.sample(frac=1, random_state=0)
    mixed = pd.concat([mixed[mixed["key"] == "before"], mixed[mixed["key"] == "after"]])
    pd.testing.assert_frame_equal(parity(predictions, "before"), parity(mixed, "before"))


def test_several_models_and_data_sets():
    before, after = random(5, 60)
    one = table(before=before, after=after, control=~before)
    two = table("c", ["fog", "snow"], before=before.reshape(30, 2), after=after.reshape(30, 2))
    found = parity(pd.concat([one, two]), "before")
    assert list(zip(found["dataset"], found["first"], found["unit"], found["n"], strict=True)) == [
        ("val", "after", "prediction", 60),
        ("val", "control", "prediction", 60),
        ("c", "after", "prediction", 60),
        ("c", "after", "image", 30),
    ]


def test_copies_of_an_image_are_not_independent():
    # the five corruptions of an image all change or none does: five times as many predictions tell nothing new
    before, after = random(6, 400)
    copies = table("c", list("abcde"), before=np.repeat(before[:, None], 5, 1), after=np.repeat(after[:, None], 5, 1))
    single, (pooled, image) = parity(table(before=before, after=after), "before").iloc[0], parity(copies, "before").iloc
    assert image["t"] == pytest.approx(single["t"])
    assert image["bf01_jzs"] == pytest.approx(single["bf01_jzs"])
    assert image["design_effect"] == pytest.approx(5, rel=0.01)
    assert abs(pooled["t"]) > 2 * abs(single["t"])
    assert image["difference"] == pytest.approx(pooled["difference"])
    assert (pooled["n"], image["n"]) == (2000, 400)
    assert np.isnan(image["mcnemar_p"])
    # the mean accuracy of images that are right or wrong as a whole
    interval = stats.ttest_1samp(after.astype(float), 0).confidence_interval()
    assert (image["accuracy_low_first"], image["accuracy_high_first"]) == pytest.approx((interval.low, interval.high))


def test_no_discordant_pair_is_the_ceiling_and_says_so():
    right = np.arange(50) % 4 > 0
    found = parity(table(before=right, after=right), "before").iloc[0]
    assert found["reason"] == NO_DISCORDANT
    assert np.isnan(found["t"])
    for name in ("jzs", "jzs_r1", "unit"):
        assert found[f"bf01_{name}"] == found[f"ceiling_{name}"] > 1
    assert found["tost_p"] == pytest.approx(0.99**50)  # nowhere near equivalent
    assert (found["mcnemar_p"], found["only_first"], found["only_second"]) == (1, 0, 0)


def test_too_few_images_and_all_images():
    one = parity(table(before=[True], after=[False]), "before").iloc[0]
    assert one["reason"] == TOO_FEW
    assert one["bf01_jzs"] == one["ceiling_jzs"] == one["bf01_unit"] == 1
    assert one["evidence_jzs"] == "none"
    all_worse = parity(table(before=np.ones(8), after=np.zeros(8)), "before").iloc[0]
    assert all_worse["reason"] == ALL_ALIKE
    assert all_worse["ln_bf01_jzs"] == -np.inf
    assert all_worse["evidence_jzs"] == "decisive for a difference"
    assert all_worse["mcnemar_p"] == pytest.approx(2 / 2**8)


def test_predictions_of_one_model_alone_are_counted():
    before, after = random(7, 30)
    predictions = table(before=before, after=after)
    predictions["correct"] = predictions["correct"].astype(object)
    predictions.loc[3, "correct"] = None
    found = parity(predictions.drop(index=35), "before").iloc[0]
    assert (found["n"], found["unpaired"]) == (28, 2)
    keep = np.delete(np.arange(30), [3, 5])
    assert found["difference"] == pytest.approx(after[keep].mean() - before[keep].mean())


def test_per_class_and_per_corruption():
    before, after = random(8, (90, 2), flips=0.3)
    predictions = table("c", ["fog", "snow"], before=before, after=after)
    weather = parity_by(predictions, "before", "corruption")
    assert weather["corruption"].tolist() == ["fog", "snow"]
    assert weather["unit"].tolist() == ["prediction"] * 2
    alone = parity(table(before=before[:, 1], after=after[:, 1]), "before").iloc[0]
    assert weather.loc[1, "t"] == pytest.approx(alone["t"])
    assert weather["p_holm"].tolist() == pytest.approx(holm(weather["p"]))
    classes = parity_by(predictions, "before", "label")
    repeated = predictions.set_axis(np.zeros(len(predictions), dtype=int))
    pd.testing.assert_frame_equal(parity_by(repeated, "before", "label"), classes)
    assert classes["label"].tolist() == [0, 0, 1, 1, 2, 2]
    assert classes["unit"].tolist() == ["prediction", "image"] * 3
    images = classes[classes["unit"] == "image"]
    assert images["n"].tolist() == [30] * 3
    assert images["difference"].mean() == pytest.approx(after.mean() - before.mean())
    assert images["p_holm"].tolist() == pytest.approx(holm(images["p"]))


def test_a_data_set_without_corruptions_has_no_row_by_corruption():
    before, after = random(9, 20)
    both = pd.concat(
        [table(before=before, after=after), table("c", ["fog"], before=before[:, None], after=after[:, None])]
    )
    assert parity_by(both, "before", "corruption")["dataset"].tolist() == ["c"]
    assert parity(both, "before")["n"].tolist() == [20, 20]  # an empty corruption is a value like another when pairing


def test_classes_are_the_references():
    before, after = random(10, 20)
    predictions = table(before=before, after=after)
    other = predictions.assign(label=predictions["label"].mask(predictions["key"] == "after", 7))
    pd.testing.assert_frame_equal(parity_by(predictions, "before", "label"), parity_by(other, "before", "label"))


def test_sensitivity_over_the_scale():
    before, after = random(11, 500)
    rows = parity(table(before=before, after=after, same=before), "before")
    found = sensitivity(rows, (2**-0.5, 1.0))
    assert found["r"].tolist() == [2**-0.5] * 2 + [1.0] * 2
    assert found["bf01"].tolist() == pytest.approx([*rows["bf01_jzs"], *rows["bf01_jzs_r1"]])
    assert found["ceiling"].tolist() == pytest.approx([*rows["ceiling_jzs"], *rows["ceiling_jzs_r1"]])
    assert (found["bf01"] == found["ceiling"]).tolist() == [False, True] * 2


def test_one_model_alone_has_nothing_to_compare(tmp_path):
    alone = parity(table(before=[1, 0]), "before")
    assert alone.empty
    assert write_bayes(Run(tmp_path), alone, Look()) == []
    assert parity_by(table(before=[1, 0]), "before", "label").empty


def test_bad_tables_are_named():
    predictions = table(before=[1, 0], after=[1, 1])
    with pytest.raises(InputError, match="missing: correct"):
        parity(predictions.drop(columns="correct"), "before")
    with pytest.raises(InputError, match=r"no model 'start'\. They have: before, after"):
        parity(predictions, "start")
    with pytest.raises(InputError, match="twice, the first is dataset val, key after, image 0001"):
        parity(pd.concat([predictions, predictions.tail(1)]), "before")
    with pytest.raises(InputError, match="0 or 1; got 2"):
        parity(predictions.assign(correct=2), "before")
    with pytest.raises(InputError, match="no column 'corruption'"):
        parity_by(predictions, "before", "corruption")


# figure ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    before, after = random(12, 300)
    worse = before & (np.arange(300) % 2 == 0)
    one = table(before=before, after=after, worse=worse, lost=np.zeros(300))
    two = table("c", ["fog", "snow"], before=before.reshape(150, 2), after=after.reshape(150, 2))
    return parity(pd.concat([one, two]), "before")


def test_the_figure_draws_images_where_there_are_copies(rows):
    drawn = drawn_rows(rows)
    assert set(zip(drawn["dataset"], drawn["unit"], drawn["n"], strict=True)) == {
        ("val", "prediction", 300),
        ("c", "image", 150),
    }
    figure = draw_sensitivity(drawn, Look({"after": "tuned"}))
    val, c = figure.axes
    lines = {line.get_label(): line for line in val.lines}
    assert lines["tuned"].get_ydata().tolist() == drawn.query("dataset == 'val' and first == 'after'")["bf01"].tolist()
    assert (lines["worse"].get_ydata() == 1e-4).all()  # far off the axis: at its edge, with the logarithm beside it
    assert any("ln BF" in text.get_text() for text in val.texts)
    assert "worse" not in {line.get_label() for line in c.lines}
    plt.close(figure)


def test_the_figure_is_written_the_same_way_twice(rows, tmp_path):
    kept = []
    for name in "ab":
        (tmp_path / name / "figures").mkdir(parents=True)
        run = Run(tmp_path / name)
        written = write_bayes(run, rows, Look())
        names = [f"figures/bayes_{name}" for name in ("factors", "sensitivity")]
        assert written == [f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf", "csv")]
        kept.append([run.file(name).read_bytes() for name in written])
    assert kept[0] == kept[1]


# real predictions -----------------------------------------------------------------------------------------------


def test_two_ways_to_preprocess_on_real_photos():
    # stored top-1 of EfficientNet-Lite0: 348 right of 500 after a crop of the photo, 346 after squashing it first
    labels = pd.read_csv(data_folder("imagenette_val") / "labels.csv")
    parts = [
        pd.DataFrame({"dataset": "imagenette", "image": labels["file"], "key": key, "label": labels["index"],
                      "correct": labels[f"lite0_pred_{key}"] == labels["index"]})
        for key in "ab"
    ]  # fmt: skip
    found = parity(pd.concat(parts), "a").iloc[0]
    assert (found["accuracy_first"], found["accuracy_second"]) == (346 / 500, 348 / 500)
    assert found["only_first"] - found["only_second"] == -2
    assert found["bf01_jzs"] < found["ceiling_jzs"] == pytest.approx(bf01_jzs(0, 500))
    assert parity_by(pd.concat(parts), "a", "label")["n"].tolist() == [50] * 10

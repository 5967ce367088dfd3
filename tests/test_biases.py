"""Contrasts of regions: numbers worked by hand, what must not change them, and independent references."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from gazetune.biases import ANIMACY, BIASES, OBJECT_SIZE, Contrast, Region
from gazetune.biases.analyse import analyse
from gazetune.biases.contrast import contrast_table, object_table, region_density
from gazetune.biases.measure import half_masks, measure
from gazetune.biases.regions import painted
from gazetune.biases.selection import check, exclusions, left_out, members
from gazetune.biases.sparsity import clutter, entropy_by_level
from gazetune.data.canvas import sampled
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli
from gazetune.data.synthetic import World, load_synthetic
from gazetune.data.table import load_table
from gazetune.errors import InputError
from gazetune.maps import density
from worlds import write_study


def thing(mask, category="thing", animate=False, area=None, crop=None, id="o"):
    mask = np.asarray(mask, dtype=bool)
    return ObjectMask(id, category, float(mask.sum() if area is None else area), animate, lambda: mask, crop)


def box(rows, columns, size=(4, 4), **named):
    mask = np.zeros(size, dtype=bool)
    mask[rows, columns] = True
    return thing(mask, **named)


def images(*objects, width=4, height=4):
    """A data set without fixations; one tuple of objects an image."""
    n, none = len(objects), np.zeros(0)
    found = {str(i): tuple(of) for i, of in enumerate(objects)}
    return Stimuli(
        "hand", tuple(found), np.full(n, width), np.full(n, height), Fixations(none, none, none.astype(int)),
        np.zeros(n + 1, int), (None,) * n, find_objects=found.__getitem__,
    )  # fmt: skip


def rows(*maps):
    """Rows of maps from tensors [image, size, size], named a, b, ..."""
    return {"abcdef"[k]: (lambda index, m=m: m[torch.from_numpy(index)]) for k, m in enumerate(maps)}


def drawn(n=20, seed=0, size=16):
    """Random maps of n images."""
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(seed))


PERSON = box(0, slice(0, 2), category="person", animate=True)  # 2 cells
CUP = box(slice(2, 4), slice(2, 4), category="cup")  # 4 cells


def hand_map():
    """Half of it on the person (3 and 1), a quarter on the cup, a quarter elsewhere; sum 8."""
    m = torch.zeros(1, 4, 4)
    m[0, 0, :2] = torch.tensor([3.0, 1.0])
    m[0, 2:, 2:] = 0.5
    m[0, 1, :] = 0.5
    return m


def test_density_by_hand():
    measured = measure(images((PERSON, CUP)), rows(hand_map()), 4)
    row = contrast_table(measured, "animacy", ANIMACY).iloc[0]
    # 4/8 on 2 cells, 2/8 on 4 cells
    assert (row["density_a"], row["density_b"], row["contrast"]) == pytest.approx((2500, 625, 1875))
    assert (row["cells_a"], row["cells_b"], row["objects_a"], row["objects_b"]) == (2, 4, 1, 1)
    rest = Contrast(a=Region(categories=("person",)))
    row = contrast_table(measured, "person", rest).iloc[0]
    assert (row["density_a"], row["density_b"], row["cells_b"]) == pytest.approx((2500, 0.5 / 14 * 10_000, 14))
    sides = Contrast(a=Region(half="left"), b=Region(half="top"))
    row = contrast_table(measured, "sides", sides).iloc[0]
    # left: 4 on the person, 1 of the second line; top: 4 and 2
    assert (row["density_a"], row["density_b"]) == pytest.approx((5 / 8 / 8 * 10_000, 6 / 8 / 8 * 10_000))


def test_density_per_object_by_hand():
    small = [box(0, 0, area=100), box(1, slice(0, 2), area=1000)]  # densities 3/8 / 1 and 1/8 / 2
    large = [box(slice(2, 4), slice(2, 4), area=9217)]  # 2/8 / 4
    measured = measure(images((*small, *large)), rows(hand_map()), 4)
    row = contrast_table(measured, "size", OBJECT_SIZE).iloc[0]
    assert row["density_a"] == pytest.approx(10_000 * (3 / 8 + 1 / 16) / 2)
    assert row["density_b"] == pytest.approx(10_000 / 16)
    pooled = OBJECT_SIZE.model_copy(update={"density": "pooled"})
    assert contrast_table(measured, "size", pooled).iloc[0]["density_a"] == pytest.approx(10_000 * 4 / 8 / 3)
    table = object_table(measured)
    assert table["size"].tolist() == ["small", "small", "large"]
    assert table["density"].tolist() == pytest.approx([3750, 625, 625])


def test_every_region_of_an_almost_even_map_has_the_same_density():
    even = torch.ones(1, 224, 224)
    even[0, 0, 0] += 1e-4  # not constant, which would say nothing
    objects = (box(slice(0, 90), slice(3, 8), (100, 100), animate=True), box(95, 7, (100, 100)))
    row = contrast_table(measure(images(objects, width=100, height=100), rows(even)), "x", ANIMACY).iloc[0]
    assert row["density_a"] == pytest.approx(10_000 / 50_176) and row["density_b"] == pytest.approx(row["density_a"])


def test_scale_of_the_map_does_not_matter_and_mirroring_swaps_the_halves():
    maps, data = drawn(), load_synthetic(World(images=20, seed=2))
    contrasts = {**BIASES, "sides": Contrast(a=Region(half="left"), b=Region(half="right"))}
    once, twice = (measure(data, rows(m), 16) for m in (maps, 7 * maps))
    for name, contrast in contrasts.items():
        a, b = (contrast_table(m, name, contrast)["contrast"] for m in (once, twice))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    mirrored = measure(data, rows(maps.flip(2)), 16)
    a, b = (contrast_table(m, "sides", contrasts["sides"])["contrast"] for m in (once, mirrored))
    np.testing.assert_allclose(a, -b, rtol=1e-4, atol=1e-5)


def test_batches_and_a_plain_loop_agree():
    data, maps = load_synthetic(World(images=40, seed=1)), drawn(40, size=56)
    measured = measure(data, rows(maps), 56)
    table = contrast_table(measured, "animacy", ANIMACY)
    for i, item in enumerate(data):
        canvas = np.zeros((item.height, item.width), dtype=int)
        for o in sorted(item.objects, key=lambda o: -o.area_px2):
            canvas[o.mask] = 1 if o.animate else 2
        lines = np.floor((np.arange(56) + 0.5) * item.height / 56).astype(int)
        columns = np.floor((np.arange(56) + 0.5) * item.width / 56).astype(int)
        seen, m = canvas[np.ix_(lines, columns)], maps[i].double().numpy()
        expected = [10_000 * m[seen == k].mean() / m.sum() for k in (1, 2)]
        np.testing.assert_allclose(table.loc[i, ["density_a", "density_b"]].astype(float), expected, rtol=1e-6)
        np.testing.assert_allclose(measured.entropy_bits[i], stats.entropy((m - m.min()).ravel(), base=2), rtol=2e-5)


def test_nearest_is_the_pixel_under_the_centre():
    assert sampled(4, 2).tolist() == [1, 3]  # centres at 1.0 and 3.0, edges: the right pixel
    assert sampled(2, 4).tolist() == [0, 0, 1, 1]
    for length in (1, 3, 223, 224, 333, 480, 640, 1000):
        line = torch.arange(length, dtype=torch.float64)[None, None]
        there = torch.nn.functional.interpolate(line, size=224, mode="nearest-exact")[0, 0]
        assert sampled(length, 224).tolist() == there.tolist(), length


def test_small_objects_stay_on_top_and_of_equal_ones_the_later():
    whole, corner = box(slice(None), slice(None)), box(slice(0, 2), slice(0, 2))
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert painted(images((corner, whole))[0], 4).tolist() == expected
    assert (painted(images((whole, replace(whole, id="again")))[0], 4) == 1).all()
    assert (painted(images(())[0], 4) == -1).all()


@pytest.mark.parametrize("seed", range(5))
def test_painting_the_samples_is_sampling_the_canvas(seed):
    rng = np.random.default_rng(seed)
    height, width, size = (int(v) for v in rng.integers(3, 40, 3))
    masks = [rng.random((height, width)) < rng.random() for _ in range(6)]
    areas = rng.permutation(6)
    objects = []
    for k, (mask, area) in enumerate(zip(masks, areas, strict=True)):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        if k % 3:  # some give a box of theirs, some lie column by column in memory
            mask[:top], mask[:, :left] = False, False
        crop = (lambda m=mask, t=top, c=left: (t, c, m[t:, c:])) if k % 3 == 1 else None
        objects.append(thing(np.asfortranarray(mask) if k % 2 else mask, area=area, crop=crop))
    found = painted(images(objects, width=width, height=height)[0], size)
    for r in range(size):
        for c in range(size):
            y, x = int((r + 0.5) * height / size), int((c + 0.5) * width / size)
            on = [k for k in range(6) if masks[k][y, x]]
            assert found[r, c] == (min(on, key=lambda k: areas[k]) if on else -1)


def test_a_mask_of_another_size_is_named():
    wrong = replace(thing(np.ones((3, 4))), id="77")
    with pytest.raises(InputError, match=r"Object '77' of image '0'.*4x4.*4x3"):
        measure(images((wrong,)), rows(hand_map()), 4)
    outside = thing(np.ones((4, 4)), crop=lambda: (2, 0, np.ones((3, 2), dtype=bool)))
    with pytest.raises(InputError, match="mask of 4x4"):
        painted(images((outside,))[0], 4)
    with pytest.raises(InputError, match="at least one image"):
        measure(images(), rows(hand_map()), 4)
    with pytest.raises(ValueError, match="5x5 of 'a'"):
        measure(images(()), rows(hand_map()), 5)


def test_the_bounds_of_size_are_medium():
    table = pd.DataFrame({"category": "x", "animate": None, "area_px2": [1023.9, 1024, 9216, 9216.1]})
    found = [members(table, r).tolist() for r in OBJECT_SIZE.regions.values()]
    assert list(OBJECT_SIZE.regions) == ["small", "large", "medium"]
    assert found == [[True, False, False, False], [False, False, False, True], [False, True, True, False]]


def test_steps_of_exclusion_in_their_order():
    tv, other = box(3, 0, category="tv"), box(3, 1, category="what", animate=None)
    hidden = box(0, 0, category="dog", animate=True, area=99)  # painted first, the person covers it
    data = images(
        (PERSON, CUP, tv), (PERSON,), (CUP, other), (PERSON, CUP, hidden), (),
        (box(slice(None), slice(None), area=1), replace(hidden, area_px2=99.0)), (PERSON, CUP, other),
    )  # fmt: skip
    measured = measure(data, rows(hand_map().expand(7, -1, -1)), 4)
    why = left_out(measured.objects, 7, ANIMACY, 4)
    assert why.tolist() == [
        "shows tv, laptop, cell phone, teddy bear or potted plant", "no object: inanimate", "no object: animate",
        None, "no object: animate", "no visible pixel: animate", None,
    ]  # fmt: skip
    flow = exclusions(measured.objects, 7, ANIMACY, 4)
    kept = flow[flow["unit"] == "images"]
    assert kept["left_out"].tolist() == [0, 1, 2, 1, 1, 0] and kept["n"].tolist() == [7, 6, 4, 3, 2, 2]
    objects = flow[flow["unit"] == "objects"].set_index("reason")
    # 14 objects, 8 of images left out; `what` is neither animate nor not; the covered dog is not seen
    assert objects["left_out"].to_dict() == {"": 0, "of images left out": 8, "of no region": 1, "no visible pixel": 1}
    assert objects["n"].tolist() == [14, 6, 5, 4]
    table = contrast_table(measured, "animacy", ANIMACY)
    assert table["contrast"].notna().tolist() == [reason is None for reason in why]
    assert [None if pd.isna(r) else r for r in table["reason"]] == why.tolist()
    assert object_table(measured).query("category == 'dog'")["density"].isna().all()


def test_a_data_set_without_objects_has_entropies_only():
    found = analyse(images((), ()), rows(drawn(2), drawn(2, 1)), size=16)
    assert found.contrasts["contrast"].isna().all() and len(found.contrasts) == 8
    assert set(found.contrasts["reason"]) == {"no object: animate", "fewer than 2 objects"}
    assert set(found.tests["kind"]) == {"entropy", "entropy_by_clutter"} and len(found.objects) == 0


def test_too_few_objects_and_a_rest_that_is_not_there():
    whole = box(slice(None), slice(None))
    measured = measure(images((whole,), (whole, CUP)), rows(hand_map().expand(2, -1, -1)), 4)
    assert left_out(measured.objects, 2, OBJECT_SIZE, 4).tolist() == ["fewer than 2 objects", "no object: large"]
    all_of_it = Contrast(a=Region(categories="thing"))
    assert left_out(measured.objects, 2, all_of_it, 4).tolist() == ["no visible pixel: rest", None]
    assert np.isnan(region_density(measured, all_of_it, "rest").density[0, 0])


def test_maps_that_say_nothing_have_a_reason():
    bad = hand_map().repeat(5, 1, 1)
    bad[1], bad[2, 0, 0], bad[3, 0, 0], bad[4, 0, 0] = 2.0, torch.nan, -1.0, torch.inf
    measured = measure(images(*[(PERSON, CUP)] * 5), rows(bad, hand_map().repeat(5, 1, 1)), 4)
    table = contrast_table(measured, "animacy", ANIMACY)
    found = table[table["key"] == "a"]
    reasons = ["constant map", "NaN in the map", "negative values", "infinity in the map"]
    assert found["reason"].iloc[1:].tolist() == reasons and found["contrast"].notna().tolist() == [True] + [False] * 4
    assert np.isnan(measured.entropy_bits[1:, 0]).all() and np.isnan(measured.on_half[1:, 0]).all()
    assert table[table["key"] == "b"]["contrast"].tolist() == pytest.approx([1875] * 5)


def test_halves_of_an_odd_map_leave_the_middle_out():
    left, right, top, bottom = half_masks(5)
    assert left.sum() == right.sum() == top.sum() == bottom.sum() == 10
    assert not (left & right).any() and not (left | right)[:, 2].any() and not (top | bottom)[2].any()
    assert half_masks(4)[:2].sum() == 16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": {}}, "needs categories"),
        ({"a": {"half": "left", "animate": True}}, "cannot be combined"),
        ({"a": {"half": "left"}, "b": "rest", "density": "per_object"}, "per_object"),
        ({"a": {"animate": True}, "b": {"animate": True}}, "same name"),
        ({"a": {"half": "middle"}}, "left"),
        ({"a": {"animate": True}, "bee": "rest"}, "Extra inputs"),
    ],
)
def test_contrasts_that_make_no_sense(given, message):
    with pytest.raises(ValidationError, match=message):
        Contrast.model_validate(given)


def test_contrasts_name_their_regions():
    made = Contrast.model_validate({"a": {"categories": "face"}, "b": {"animate": False, "area_below_px2": 500}})
    assert made.names == ("face", "inanimate < 500 px2")
    assert Contrast.model_validate({"a": {"categories": ["a", "b"]}}).names == ("a, b", "rest")


def test_what_a_contrast_asks_for_must_be_there(capsys):
    objects = measure(images((PERSON, CUP)), rows(hand_map()), 4).objects
    with pytest.raises(InputError, match=r"no object.*'persn'.*did you mean 'person'"):
        check(objects, "mine", Contrast(a=Region(categories="persn")))
    with pytest.raises(InputError, match="1 objects are in both"):
        check(objects, "mine", Contrast(a=Region(animate=True), b=Region(categories=("person", "cup"))))
    check(objects, "mine", Contrast(a=Region(categories=("person", "dog"))))
    assert "no object is dog" in capsys.readouterr().err


def test_clutter_and_its_levels():
    data = images(*[(CUP,) * n for n in (0, 1, 2, 3, 5, 6, 10, 11, 40)])
    measured = measure(data, rows(drawn(9, size=4)), 4)
    assert clutter(measured).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 5]
    levels = entropy_by_level(measured)
    assert list(levels) == ["0", "1-2", "3-5", "6-10", "11-20", "21+"]
    assert np.isfinite(levels["3-5"][:, 0]).tolist() == [False] * 3 + [True] * 2 + [False] * 4


@pytest.fixture(scope="module")
def analysed():
    """30 generated images, humans and two rows of random maps, and a contrast of one's own."""
    data = load_synthetic(World(images=30, seed=3))
    human, noise = density(data), drawn(30, 1, 224)
    own = {"people": Contrast(a=Region(categories=("person", "dog")))}
    order = ["a", "b", "c"]
    return analyse(data, rows(human, noise, human * noise), own, order, prior="b")


def one(table, **wanted):
    """The only row with these values."""
    (row,) = (row for _, row in table.iterrows() if all(row[c] == v for c, v in wanted.items()))
    return row


def test_tests_are_those_of_scipy(analysed):
    wide = analysed.contrasts.pivot(index=["analysis", "image"], columns="key")
    for name in ("animacy", "object_size", "people"):
        part = wide.loc[name]
        row = one(analysed.tests, kind="within", analysis=name, first="a")
        theirs = stats.ttest_rel(part["density_a"]["a"], part["density_b"]["a"], nan_policy="omit")
        assert (row["t"], row["p"], row["df"]) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.df))
        row = analysed.tests.query("kind == 'contrast' and analysis == @name and first == 'c' and second == 'a'").iloc[
            0
        ]
        theirs = stats.ttest_rel(part["contrast"]["c"], part["contrast"]["a"], nan_policy="omit")
        assert (row["t"], row["p"]) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert row["d"] == pytest.approx(row["t"] / row["n"] ** 0.5)
    row = one(analysed.tests, kind="density", measure="small", first="c", second="a")
    both = wide.loc["object_size"]["density_a"].dropna()
    assert row["n"] == len(both) and row["t"] == pytest.approx(stats.ttest_rel(both["c"], both["a"]).statistic)


def test_sizes_are_tested_on_all_images_that_have_them(analysed):
    small = analysed.objects.query("size == 'small' and cells > 0 and key != 'b'")
    mean = small.pivot_table(index="image", columns="key", values="density")
    row = analysed.tests.query("kind == 'density_any' and measure == 'small' and first == 'c' and second == 'a'").iloc[
        0
    ]
    assert row["n"] == len(mean) > analysed.tests.query("kind == 'density' and measure == 'small'")["n"].max()
    assert row["t"] == pytest.approx(stats.ttest_rel(mean["c"], mean["a"]).statistic, rel=1e-5)
    assert set(analysed.tests.query("kind == 'density_any'")["measure"]) == {"small", "medium", "large"}


def test_over_the_prior_is_the_contrast_of_the_pair_and_cancels_between_rows(analysed):
    tests = analysed.tests.query("analysis == 'animacy'")
    over = tests.query("kind == 'over_prior' and first == 'c'").iloc[0]
    pair = tests.query("kind == 'contrast' and first == 'c' and second == 'b'").iloc[0]
    assert over["t"] == pytest.approx(pair["t"])
    table = analysed.contrasts.query("analysis == 'animacy'").pivot(index="image", columns="key")
    np.testing.assert_allclose(table["over_prior"]["b"].dropna(), 0, atol=1e-12)
    raw, relative = (table[of]["c"] - table[of]["a"] for of in ("contrast", "over_prior"))
    np.testing.assert_allclose(raw, relative, atol=1e-12)


def test_holm_goes_over_the_analyses_of_a_row_or_a_pair(analysed):
    three = analysed.tests[analysed.tests["kind"].isin(["within", "over_prior", "contrast"])]
    for _, part in three.groupby(["kind", "first", "second"]):
        assert len(part) == 3
        smallest = part["p"].idxmin()
        assert part.loc[smallest, "p_holm"] == pytest.approx(min(1, 3 * part.loc[smallest, "p"]))
        assert (part["p_holm"] >= part["p"]).all()


def test_tables_are_tidy_and_whole(analysed):
    assert len(analysed.contrasts) == 30 * 3 * 3 and set(analysed.contrasts["dataset"]) == {"synthetic"}
    assert len(analysed.sparsity) == 90 and analysed.sparsity.query("key == 'a'")["entropy_bits"].notna().all()
    assert analysed.objects["key"].value_counts().nunique() == 1
    animate = analysed.contrasts.query("analysis == 'animacy' and key == 'a'")
    means = one(analysed.means, kind="contrast", analysis="animacy", key="a")
    assert means["mean"] == pytest.approx(animate["contrast"].mean()) and means["n"] == animate["contrast"].count()
    levels = analysed.tests.query("kind == 'entropy_by_clutter' and first == 'c' and second == 'a'")
    whole = one(analysed.tests, kind="entropy", first="c", second="a")
    assert levels["n"].sum() == whole["n"] == 30
    for _, part in analysed.exclusions.groupby(["analysis", "unit"]):
        assert part["n"].iloc[-1] == part["n"].iloc[0] - part["left_out"].sum()


def test_a_users_own_boxes(tmp_path):
    folder = write_study(tmp_path / "study", n=2, size=(64, 48))
    boxes = "image,category,x,y,width,height\np000.png,face,0,0,32,24\np001.png,face,32,24,32,24\n"
    (folder / "objects.csv").write_text(boxes)
    maps = torch.zeros(2, 8, 8)
    maps[:, :4, :4], maps[:, 4:, 4:] = 3.0, 1.0  # 3 in 4 on the upper left quarter, where the first image's face is
    found = analyse(load_table(folder), rows(maps), {"faces": Contrast(a=Region(categories="face"))}, size=8)
    table = found.contrasts.query("analysis == 'faces'")
    assert table["density_a"].tolist() == pytest.approx([0.75 / 16 * 10_000, 0.25 / 16 * 10_000])
    assert table["density_b"].tolist() == pytest.approx([0.25 / 48 * 10_000, 0.75 / 48 * 10_000])
    left = found.contrasts.query("analysis == 'animacy'")["reason"]
    assert set(left) == {"no object: animate"}  # the boxes do not say whether a face is animate

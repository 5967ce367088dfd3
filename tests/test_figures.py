"""What the figures of alignment, gain, biases, sparsity, heads, methods and the front show, read back from the axes."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from gazetune.commands.settings import of_run, with_palette
from gazetune.errors import InputError
from gazetune.figures.alignment import draw_alignment
from gazetune.figures.alt import ALT
from gazetune.figures.biases import draw_biases, drawn_biases, shaded
from gazetune.figures.consistency import draw_consistency, draw_quartiles
from gazetune.figures.examples import draw_examples, drawn_examples
from gazetune.figures.gain import draw_gain_categories, draw_gain_images, drawn_categories
from gazetune.figures.heads import draw_heads, draw_layers, drawn_layers
from gazetune.figures.methods import draw_method_table, draw_methods
from gazetune.figures.palette import LONGEST, PALETTES, look_of, shortened
from gazetune.figures.pareto import START, draw_pareto, on_front, pareto_of_run
from gazetune.figures.sparsity import WHOLE, draw_sparsity, drawn_sparsity
from gazetune.figures.style import p_words, save
from gazetune.metrics import METRICS
from gazetune.run import Run
from worlds import run_small

ROLES = {"a": "reference", "b": "tuned", "c": "control"}
LOOK = look_of(ROLES, {"a": "A", "b": "B $x$", "c": "C"})
NAMES = ["A", r"B \$x\$", "C"]  # a dollar is a dollar
COLOURS = ["#D55E00", "#009E73", "#8A8A8A"]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def ticks(panel):
    return [t.get_text() for t in panel.get_xticklabels()]


def bars(panel):
    return [(p.get_x() + p.get_width() / 2, p.get_height()) for p in panel.patches]


def halves(container):
    """Half the length of each error bar of bars or points."""
    errors = getattr(container, "errorbar", None) or container
    return [(np.ptp(segment[:, 1])) / 2 for segment in errors.lines[2][0].get_segments()]


def scattered(panel):
    return next(c for c in panel.collections if isinstance(c, PathCollection)).get_offsets().data


def diagonal(panel):
    line = panel.lines[0]
    return np.array_equal(line.get_xdata(), line.get_ydata()) and panel.get_xlim() == panel.get_ylim()


# how rows look ---------------------------------------------------------------------------------------------------


def test_colours_of_the_paper_and_colours_for_all():
    assert [LOOK.colour(key) for key in ROLES] == COLOURS and LOOK.colour("human") == "#FFFFFF"
    assert [LOOK.marker(key) for key in ROLES] == ["s", "o", "D"]
    paper = look_of(ROLES, {}, "paper")
    red, green, grey = (np.array([int(paper.colour(k)[i : i + 2], 16) for i in (1, 3, 5)]) for k in ROLES)
    assert red.argmax() == 0 and green.argmax() == 1 and len(set(grey)) == 1
    assert all(len({p.reference, p.control, p.prior, *p.others}) == 8 for p in PALETTES.values())


def test_long_names_lose_their_middle():
    assert shortened("a" * LONGEST) == "a" * LONGEST and shortened("two\n lines") == "two lines"
    assert shortened("abcdefgh", 5) == "ab…gh"
    assert LOOK.name("google/vit-base-patch16-224-in21k") == "google/vit-ba…16-224-in21k"
    assert len(LOOK.name("x" * 99)) == LONGEST


@pytest.mark.parametrize(
    ("p", "words"), [(0.5, "p = .5000"), (0.0123, "p = .0123"), (9e-5, "p < .0001"), (1.0, "p = 1.0000")]
)
def test_p_in_words(p, words):
    assert p_words(p) == words and p_words(np.nan) == "p: none"


def test_every_figure_has_words_of_its_own():
    assert all(re.fullmatch("[a-z_]+", name) and text.endswith(".") for name, text in ALT.items())
    assert len(set(ALT.values())) == len(ALT) == 22


def test_the_same_figure_has_the_same_bytes(tmp_path):
    kept = []
    for name in "ab":
        (tmp_path / name / "figures").mkdir(parents=True)
        run = Run(tmp_path / name)
        figure, panel = plt.subplots(figsize=(1, 1))
        panel.plot([1, 2])
        written = save(run, "line", figure, pd.DataFrame({"y": [1, 2]}))
        assert written == [f"figures/line.{kind}" for kind in ("png", "svg", "pdf", "csv")]
        kept.append([run.file(name).read_bytes() for name in written])
    assert kept[0] == kept[1] and b"CreationDate" not in kept[0][2]


# Figures 2A, 5B --------------------------------------------------------------------------------------------------


def alignment():
    values = {"human_half": (0.9, 14.0), "mean_training_map": (0.4, 15.2), "a": (-0.1, 15.0), "b": (0.5, 14.5)}
    rows = [
        {"model": key, "metric": metric, "mean": mean, "sem": 0.01 * (i + 1), "n": 50 - i}
        for key, means in values.items()
        for i, (metric, mean) in enumerate(zip(("cc", "entropy_bits"), means, strict=True))
    ]
    return pd.DataFrame(rows)


def test_alignment_is_drawn_as_bars_from_0_or_as_points():
    metrics = {name: METRICS[name] for name in ("cc", "nss", "entropy_bits")}
    cc, entropy = draw_alignment(alignment(), metrics, LOOK).axes
    assert bars(cc) == [(i, pytest.approx(v)) for i, v in enumerate((0.9, 0.4, -0.1, 0.5))]
    assert [halves(c) for c in cc.containers if hasattr(c, "errorbar")] == [[pytest.approx(0.01)]] * 4
    assert [to_hex(p.get_facecolor()).upper() for p in cc.patches] == ["#FFFFFF", "#F0E442", *COLOURS[:2]]
    assert ticks(cc) == ["humans by halves", "mean training map", *NAMES[:2]]
    assert (cc.get_ylabel(), cc.get_title()) == ("r", "CC ↑\nn = 50") and entropy.get_title() == "Entropy\nn = 49"
    ceiling = next(line for line in cc.lines if line.get_linestyle() == "--")
    assert set(ceiling.get_ydata()) == {0.9}
    assert not entropy.patches and entropy.get_ylim()[0] > 13  # bars from elsewhere than 0 would lie
    assert [c.lines[0].get_ydata()[0] for c in entropy.containers] == [14.0, 15.2, 15.0, 14.5]


def test_what_alignment_cost_stands_beside_it():
    rates = {"top1": [0.8, 0.5], "low": [0.7, 0.4], "high": [0.9, 0.6], "images": 99}
    accuracy = pd.DataFrame({"dataset": "val", "head": "own", "model": ["a", "b"], **rates})
    panels = draw_alignment(alignment(), {"cc": METRICS["cc"]}, LOOK, accuracy).axes
    assert panels[1].get_title() == "val\nown head\nn = 99 images" and panels[1].get_ylim() == (0, 105)
    assert [t.get_text() for t in panels[1].texts] == ["80.0", "50.0"] and ticks(panels[1]) == NAMES[:2]


# Figures 2B, 5C --------------------------------------------------------------------------------------------------


def gained():
    rng = np.random.default_rng(0)
    before, after = rng.random(40) * 0.5, rng.random(40) * 0.5 + 0.2
    shown = {"consistency": rng.random(40), "score_second": before}
    parts = [
        pd.DataFrame({"first": first, "second": second, **shown, "score_first": after, "gain": after - before})
        for first, second in (("b", "a"), ("b", "c"))
    ]
    return pd.concat(parts, ignore_index=True)


def test_gain_by_image_over_the_diagonal():
    table = gained().query("second == 'a'")
    (panel,) = draw_gain_images(table, LOOK).axes
    assert scattered(panel) == pytest.approx(table[["score_second", "score_first"]].to_numpy())
    assert diagonal(panel) and (panel.get_xlabel(), panel.get_ylabel()) == ("CC, A", rf"CC, {NAMES[1]}")
    above = (table["score_first"] > table["score_second"]).sum()
    assert panel.get_title() == f"{above} of 40 images above\n({above / 40:.0%})"
    low, high = panel.get_xlim()
    assert low < table[["score_first", "score_second"]].min().min() < table["score_first"].max() < high


def test_gain_by_category_joins_the_control():
    rows = [
        ("b", "a", "cat", 0.6, 0.3), ("b", "a", "dog $y$", 0.2, 0.4), ("b", "c", "cat", 0.6, 0.35),
        ("b", "c", "dog $y$", 0.2, 0.1), ("c", "a", "cat", 0.35, 0.3), ("c", "a", "dog $y$", 0.1, 0.4),
    ]  # fmt: skip
    columns = ["first", "second", "category", "mean_first", "mean_second"]
    drawn = drawn_categories(pd.DataFrame(rows, columns=columns).assign(n=7), {"c"})
    assert drawn[["model", "mean", "mean_second"]].to_numpy().tolist() == [
        ["b", 0.6, 0.3], ["b", 0.2, 0.4], ["c", 0.35, 0.3], ["c", 0.1, 0.4]
    ]  # fmt: skip
    (panel,) = draw_gain_categories(drawn, LOOK).axes
    points = {line.get_label(): line.get_xydata().tolist() for line in panel.lines if line.get_linestyle() == "None"}
    assert points == {NAMES[1]: [[0.3, 0.6], [0.4, 0.2]], "C": [[0.3, 0.35], [0.4, 0.1]]}
    joined = [line.get_xydata().tolist() for line in panel.lines[1:] if line.get_linestyle() == "-"]
    assert joined == [[[0.3, 0.6], [0.3, 0.35]], [[0.4, 0.2], [0.4, 0.1]]] and diagonal(panel)
    assert panel.get_title() == "1 of 2 categories above\nn = 7 images a category"
    assert [t.get_text() for t in panel.texts] == ["cat", r"dog \$y\$"]
    # a control with nothing beside it has a panel of its own
    assert drawn_categories(pd.DataFrame(rows[4:], columns=columns).assign(n=7), {"c"})["model"].tolist() == ["c"] * 2
    assert drawn_categories(pd.DataFrame(columns=columns), {"c"}).empty


# Figure 2C -------------------------------------------------------------------------------------------------------


def test_gain_over_consistency_has_its_line():
    table = gained()
    lines = pd.DataFrame({"first": "b", "second": ["a", "c"], "r": [-0.55, np.nan], "n": 40, "p": [1e-9, np.nan],
                          "slope": -0.5, "intercept": 0.4})  # fmt: skip
    first, second = draw_consistency(table, lines, LOOK).axes
    part = table.query("second == 'a'")
    assert scattered(first) == pytest.approx(part[["consistency", "gain"]].to_numpy())
    line = first.lines[-1]
    assert line.get_ydata() == pytest.approx(0.4 - 0.5 * line.get_xdata())
    assert line.get_xdata().tolist() == [part["consistency"].min(), part["consistency"].max()]
    assert first.get_title() == f"{NAMES[1]} - A\nr = -0.55, p < .0001, n = 40"
    assert second.get_title() == f"{NAMES[1]} - C\nr: none, n = 40"


def test_quartiles_are_bars_over_the_reference_and_the_control():
    rows = [
        {"first": "b", "second": second, "quartile": q, "quantity": quantity, "n": 5, "mean": q * scale, "sem": 0.1 * q}
        for second, scale in (("a", 1.0), ("c", -1.0))
        for quantity in ("gain", "normalised_gain")
        for q in (1, 2, 3, 4)
    ]
    gain, share = draw_quartiles(pd.DataFrame(rows), LOOK).axes
    expected = [(q - 0.2, q) for q in (1, 2, 3, 4)] + [(q + 0.2, -q) for q in (1, 2, 3, 4)]
    assert bars(gain) == bars(share) == [pytest.approx(at) for at in expected]
    assert [to_hex(p.get_facecolor()).upper() for p in gain.patches] == [COLOURS[1]] * 4 + [COLOURS[2]] * 4
    over = [c for c in gain.containers if hasattr(c, "errorbar")]
    assert halves(over[0]) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [c.get_label() for c in over] == [f"{NAMES[1]} - A", f"{NAMES[1]} - C"]
    assert ticks(share) == ["Q1", "Q2", "Q3", "Q4"] and gain.get_title() == f"{NAMES[1]}\nn = 5 images a quarter"


# Figure 3 --------------------------------------------------------------------------------------------------------


def test_biases_have_their_effect_and_both_densities():
    value = {"human": (0.5, 0.3), "a": (0.2, 0.3), "next_image": (9.0, 9.0)}
    rows = [
        {"kind": kind, "analysis": "animacy", "measure": measure, "model": key, "n": 20, "mean": mean, "sem": 0.02}
        for key, (a, b) in value.items()
        for kind, measure, mean in (
            ("contrast", "animate - inanimate", a - b), ("density", "animate", a), ("density", "inanimate", b),
            ("density_any", "animate", 7.0),
        )
    ]  # fmt: skip
    tests = pd.DataFrame({"kind": "within", "analysis": "animacy", "first": list(value), "d": [0.29, -0.16, 0.0]})
    drawn = drawn_biases(pd.DataFrame(rows), tests, ["a", "human"])
    assert drawn["model"].tolist() == ["a"] * 3 + ["human"] * 3 and drawn["d"].dropna().tolist() == [-0.16, 0.29]
    left, right = draw_biases(drawn, LOOK, 0.2).axes
    assert bars(left) == [(0, pytest.approx(-0.1)), (1, pytest.approx(0.2))]
    assert [t.get_text() for t in left.texts] == ["d = -0.16", "d = 0.29"] and ticks(left) == ["A", "human"]
    assert left.get_title() == "animacy, n = 20 images" and left.get_ylabel() == "density, animate - inanimate"
    expected = [(-0.2, 0.2), (0.8, 0.5), (0.2, 0.3), (1.2, 0.3)]  # animate of both rows, then inanimate
    assert bars(right) == [pytest.approx(at) for at in expected]
    light, _, dark, _ = (np.array(p.get_facecolor()[:3]) for p in right.patches)
    assert (light > dark).any() and (light >= dark).all() and shaded("#000000", 0.5) == (0.5, 0.5, 0.5)
    assert {0.2} in [set(line.get_ydata()) for line in right.lines if line.get_linestyle() == ":"]
    assert [t.get_text() for t in right.get_legend().get_texts()] == ["animate", "inanimate", "uniform map"]


def test_sparsity_by_clutter():
    bits = {"human": [14.0, 14.2, 14.4, 14.6], "a": [15.0, 15.0, 15.1, 15.3], "b": [14.8, 14.9, 14.9, 15.0]}
    level = ["0", "0", "3-5", "3-5"]
    rows = [(f"{i}", key, level[i], v) for key, values in bits.items() for i, v in enumerate(values)]
    table = pd.DataFrame(rows, columns=["image", "key", "clutter", "entropy_bits"])
    drawn = drawn_sparsity(table, ["human", "a", "b", "c"], ROLES, "a")
    change = drawn.query("quantity == 'change'").to_dict("records")
    moved = np.array(bits["b"]) - bits["a"]
    assert [(row["model"], row["mean"]) for row in change] == [("b", pytest.approx(moved.mean()))]
    assert change[0]["d"] == pytest.approx(moved.mean() / moved.std(ddof=1))
    assert drawn.query("model == 'a' and clutter == '3-5'")["mean"].item() == pytest.approx(15.2)
    left, middle, right = draw_sparsity(drawn, LOOK, 15.615).axes
    assert bars(left) == [(0, pytest.approx(moved.mean()))] and ticks(left) == NAMES[1:2]
    assert [c.lines[0].get_ydata()[0] for c in middle.containers] == pytest.approx([14.3, 15.1, 14.9])
    assert 15.615 in [line.get_ydata()[0] for line in middle.lines] and middle.get_ylim()[1] > 15.615
    by_level = {c.get_label(): c.lines[0].get_ydata().tolist() for c in right.containers}
    assert by_level["A"] == pytest.approx([15.0, 15.2]) and ticks(right) == ["0\n2", "3-5\n2"]
    human = next(c.lines[0] for c in right.containers if c.get_label() == "human")
    assert (human.get_color(), human.get_markerfacecolor()) == ("black", "#FFFFFF")  # a white line is none
    assert set(drawn["clutter"]) == {WHOLE, "0", "3-5"}
    assert len(draw_sparsity(drawn.query("quantity != 'change'"), LOOK, 15.6).axes) == 2


# Figures of their own --------------------------------------------------------------------------------------------


def heads():
    values = {"a": [0.5, 0.1, 0.2, 0.9, 0.0, 0.3], "b": [0.0, -0.4, np.nan, 0.1, np.nan, np.nan]}
    cells = [(layer, head) for layer in (1, 2) for head in (0, 1, 2)]
    rows = [(key, *cell, v, 0.05, 9) for key, of in values.items() for cell, v in zip(cells, of, strict=True)]
    return pd.DataFrame(rows, columns=["key", "layer", "head", "mean", "sem", "n"])


def test_layers_are_lines_with_their_best_heads():
    drawn = drawn_layers(heads())
    assert drawn["mean"].tolist() == [0.5, 0.9, 0.0, 0.1]
    assert drawn["best_head"].tolist()[:3] == [2, 2, 1] and np.isnan(drawn["best"].iloc[3])
    (panel,) = draw_layers(drawn, LOOK, 0.6).axes
    lines = {c.get_label(): c for c in panel.containers}
    assert lines["A"].lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.9]]
    assert halves(lines["A"]) == pytest.approx([0.05, 0.05])
    dotted = [line.get_ydata().tolist() for line in panel.lines if line.get_linestyle() == ":"]
    assert dotted[0] == [0.2, 0.3] and panel.get_title() == "n = 9 images"
    assert {0.6} in [set(line.get_ydata()) for line in panel.lines if line.get_linestyle() == "--"]


def test_heads_have_literal_names():
    panels = draw_heads(heads(), LOOK).axes
    assert panels[1].get_title() == f"{NAMES[1]}\nbest: layer 1, head 1, -0.40"
    assert panels[0].images[0].get_cmap().name == "cividis"


def test_methods_as_lines_and_as_a_table():
    rows = [("a", "rollout", 0.1), ("b", "rollout", 0.5), ("a", "my $m$", 0.3)]
    means = pd.DataFrame(rows, columns=["model", "attention", "mean"]).assign(n=30)
    means = means.assign(ci_low=means["mean"] - 0.1, ci_high=means["mean"] + 0.1)
    (panel,) = draw_methods(means, LOOK).axes
    first, second = panel.containers
    assert first.lines[0].get_ydata().tolist() == [0.1, 0.3] and halves(first) == pytest.approx([0.1, 0.1])
    assert np.isnan(second.lines[0].get_ydata()[1]) and panel.get_title() == "n = 30 images"
    assert ticks(panel) == ["Attention rollout", r"my \$m\$"]
    table = draw_method_table(means, LOOK).axes[0]
    cells = {(round(t.get_position()[0]), round(t.get_position()[1])): t.get_text() for t in table.texts}
    assert cells == {(0, 0): "0.100", (1, 0): "0.300", (0, 1): "0.500"}
    assert [t.get_text() for t in table.get_yticklabels()] == NAMES[:2] and ticks(table) == ticks(panel)


def test_the_front_of_a_run():
    cc = pd.DataFrame({"model": ["human_half", "a", "b", "c"], "mean": [0.9, 0.2, 0.5, 0.3], "sem": 0.1, "n": 4})
    parity = pd.DataFrame({"dataset": "val $z$", "head": ["own", "own", "probe"], "first": ["b", "c", "b"],
                           "second": "a", "unit": "prediction", "n": 200, "difference": [-0.05, 0.01, 0.0],
                           "ci_low": [-0.08, -0.01, -0.02], "ci_high": [-0.02, 0.03, 0.02]})  # fmt: skip
    table = pareto_of_run(cc, parity, "a")
    own = table.query("set == 'val $z$'")
    assert own["term"].tolist() == [START, "b", "c"] and own["difference"].tolist() == [0.0, -5.0, 1.0]
    assert own["cc_high"].iloc[1] == pytest.approx(0.5 + 0.1 * 3.182446)  # t with 3 degrees of freedom
    drawn = table.assign(on_front=on_front(table["cc"].to_numpy(), table["difference"].to_numpy()))
    panels = draw_pareto(drawn, LOOK).axes
    assert [p.get_title() for p in panels] == [
        r"val \$z\$ (200 images)", r"val \$z\$, probe of the reference (200 images)"
    ]  # fmt: skip
    points = {c.get_label(): c.lines[0].get_xydata()[0].tolist() for c in panels[0].containers}
    assert points == {NAMES[1]: [-5.0, 0.5], "C": [1.0, 0.3], START: [0.0, 0.2]}
    assert not panels[0].texts and pareto_of_run(cc, pd.DataFrame(), "a").empty  # no lambda, no name


def test_examples_share_limits_around_0():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    one, two = rng.random((8, 8)), rng.random((8, 8))
    figure = draw_examples(["i", "j"], [photo] * 2, [4 / 3, 1.0], [("human", [one, two])],
                           [("B -\nA", [one - two, two * 0])])  # fmt: skip
    grid = np.array(figure.axes[:6]).reshape(2, 3)
    assert [p.get_title() for p in grid[0]] == ["photo", "human", "B -\nA"]
    assert [p.get_ylabel() for p in grid[:, 0]] == ["i", "j"] and grid[0, 0].images[0].get_extent()[1] == 4 / 3
    limit = np.abs(one - two).max()
    assert [p.images[0].get_clim() for p in grid[:, 2]] == [(-limit, limit)] * 2
    assert grid[0, 2].images[0].get_cmap().name == "RdBu_r"
    shown = grid[1, 1].images[1]
    assert np.array_equal(shown.get_array(), two) and (shown.get_clim(), shown.get_cmap().name) == ((0, 1), "cividis")
    assert {bar.get_ylabel() for bar in figure.axes[6:]} == {"difference", "map, 0 to 1"}


def test_examples_come_with_their_numbers():
    images = [f"i{i}" for i in range(21)]
    start, moved = np.linspace(0, 0.5, 21), np.linspace(0, 1, 21)  # the later the image, the more it gained
    scores = pd.DataFrame({"image": images * 2, "key": ["a"] * 21 + ["b"] * 21, "cc": np.append(start, start + moved)})
    index, drawn = drawn_examples(scores, ["a", "b"], "b", "a")
    assert index.tolist() == [19, 15, 10, 5, 1]
    assert (
        drawn["image"].tolist() == [f"i{i}" for i in index for _ in "ab"] and drawn["model"].tolist() == ["a", "b"] * 5
    )
    assert drawn["gain"].iloc[::2].tolist() == pytest.approx([0.95, 0.75, 0.5, 0.25, 0.05])
    assert (drawn["cc"].iloc[1::2].to_numpy() - drawn["cc"].iloc[::2].to_numpy()) == pytest.approx(moved[index])


# a run -----------------------------------------------------------------------------------------------------------


def test_other_colours_are_no_reason_to_compute_again(monkeypatch, study, capsys):
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings |= {"metrics": ["cc"], "heads": False}
    settings["models"] = {"before": settings["models"]["before"], "again": settings["models"]["before"]}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    drawn = run.stages()["figures"]["outputs"]
    names = {name.partition("/")[2].partition(".")[0] for name in drawn}
    assert names <= set(ALT) and {"alignment", "gain_images", "consistency", "examples", "accuracy"} <= names
    assert all(f"figures/{name}.csv" in drawn for name in names)
    before = run.file("figures/alignment.png").read_bytes()
    capsys.readouterr()
    assert run_small(monkeypatch, study, "--resume", "--palette", "paper") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "done again" in line]
    assert [line.partition(":")[0] for line in said] == ["figures", "report"]
    assert run.file("figures/alignment.png").read_bytes() != before
    with pytest.raises(InputError, match="colour_blind or paper; got 'pink'"):
        with_palette(of_run(run), "pink")
    assert of_run(run).palette == "paper"

"""The paper's Figure 4 and the report's part on classification, read back from what is drawn and written."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, PathCollection
from rich.console import Console

from gazetune.commands.settings import of_run
from gazetune.figures.accuracy import draw_accuracy, drawn_accuracy
from gazetune.figures.bayes import CEILING, draw_factors, drawn_factors
from gazetune.figures.directions import NAMED, draw_changes, draw_directions, name_largest, ways
from gazetune.figures.palette import PALETTES, Look, colours, look_of, markers
from gazetune.figures.parity import write_parity_figures
from gazetune.metrics import METRICS
from gazetune.parity.compare import parity, parity_by
from gazetune.parity.predict import accuracy
from gazetune.report.html import write_report
from gazetune.report.parity import parity_lines, parity_tables, preprocessing
from gazetune.report.terminal import print_classification, print_summary
from gazetune.run import Run
from gazetune.statistics.bayes import bf01_jzs
from gazetune.statistics.intervals import wilson
from gazetune.tables.changes import changes, counted, direction, read_changes
from worlds import run_small

ROLES = {"before": "reference", "after": "tuned", "shuffled": "control"}
LABELS = {"before": "A", "after": "B", "shuffled": "C"}
LOOK = look_of(ROLES, LABELS)
WAYS = ways(LOOK.palette)
HOSTILE = "<script>[/red] $x$ $\\frac{"


def answers(dataset, head="own", corruptions=("",), n=60, classes=3, seed=0, **flips):
    """Predictions of the reference and of models that answer otherwise on a share of the images."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, len(corruptions))) < 0.7
    parts = []
    for key, share in {"before": 0.0, **flips}.items():
        rows = {"image": np.repeat([f"{i:04d}" for i in range(n)], len(corruptions)), "head": head, "key": key}
        correct = np.where(rng.random(right.shape) < share, ~right, right)
        parts.append(pd.DataFrame({**rows, "dataset": dataset, "correct": correct.ravel()}))
    whole = pd.concat(parts, ignore_index=True)
    whole = whole.assign(label=whole["image"].astype(int) % classes, correct_top5=True)
    if corruptions == ("",):
        return whole
    return whole.assign(corruption=list(corruptions) * (len(whole) // len(corruptions)), severity=5)


@pytest.fixture(scope="module")
def world():
    """Predictions by head: two data sets and two heads; one has corruptions and 60 classes, one a hopeless model."""
    many = answers("c", corruptions=("fog", "snow", "jpeg"), n=240, classes=60, after=0.1, shuffled=0.4)
    lost = answers("plain", n=300, after=0.05, shuffled=0.05)
    lost.loc[lost["key"] == "shuffled", "correct"] = False
    return [many, lost, answers("plain", "probe", seed=1, after=0.05)]


def gathered(world, make):
    return pd.concat([made.assign(head=one["head"].iloc[0]) for one in world if len(made := make(one))])


def accuracies(world):
    return [
        {"dataset": dataset, "head": head, "model": key, **accuracy(part), "preprocessing": "squashed"}
        for one in world
        for (dataset, head, key), part in one.groupby(["dataset", "head", "key"], sort=False)
    ]


@pytest.fixture(scope="module")
def tables(world):
    by = {
        "parity": gathered(world, lambda one: parity(one, "before")),
        "parity_classes": gathered(world, lambda one: parity_by(one, "before", "label")),
        "parity_corruptions": parity_by(world[0], "before", "corruption").assign(head="own"),
    }
    return {**by, "accuracy": pd.DataFrame(accuracies(world))}


def title(panel):
    return panel.get_title().splitlines()


def points(panel, label):
    """Where the points with a label are drawn, in the order of drawing."""
    found = [c.get_offsets() for c in panel.collections if isinstance(c, PathCollection) and c.get_label() == label]
    return np.asarray(np.concatenate(found))


# what is read ---------------------------------------------------------------------------------------------------


def test_changes_by_hand():
    row = {"dataset": "d", "first": "b", "second": "a", "unit": "prediction", "n": 4, "accuracy_first": 1}
    row |= {"accuracy_second": 1, "ci_low": np.nan, "ci_high": np.nan, "p_holm": np.nan}
    table = pd.DataFrame(
        [
            {**row, "label": 7, "class": "crane", "difference": -0.25},
            {**row, "label": 9, "class": "crane", "difference": 0.5},
            {**row, "label": 3, "class": None, "difference": 1e-17},
            {**row, "label": 1, "class": "ant", "difference": 0},
            {**row, "label": 1, "class": "ant", "difference": 0.1, "unit": "image"},
        ]
    )
    found = changes(table, "class")
    assert found["class"].tolist() == ["crane (9)", "ant", "3", "crane (7)"]  # the row over images, not its pooled one
    assert found["direction"].tolist() == ["better", "better", "tie", "worse"]
    assert set(found["head"]) == {"own"}
    assert counted(found["direction"]) == "2 gains, 1 loss, 1 tie"
    assert counted(pd.Series(["worse"] * 2)) == "0 gains, 2 losses, 0 ties"
    whole = changes(table.drop(columns=["class"]).assign(difference=0), "class")  # integers, as a CSV may give them
    assert (whole["class"].tolist(), set(whole["direction"])) == (["1", "3", "7", "9"], {"tie"})


def test_directions_turn_with_the_order_of_the_models(world):
    found = {}
    for reference in ("before", "after"):
        table = changes(parity_by(world[0], reference, "label"), "class").query("first != 'shuffled'")
        found[reference] = table.set_index("class")["direction"]
    turned = found["after"].map({"better": "worse", "worse": "better", "tie": "tie"})
    pd.testing.assert_series_equal(found["before"].sort_index(), turned.sort_index())
    assert (direction(1e-12), direction(1e-4), direction(-1e-4)) == ("tie", "better", "worse")


def test_the_largest_changes_are_named_from_both_ends():
    row = {"dataset": "d", "head": "own", "first": "b", "second": "a"}
    table = pd.DataFrame([{**row, "difference": d} for d in [0.1] * 50 + [0.0] * 10 + [-0.1] * 50])
    named = name_largest(table)["named"].to_numpy()
    assert named.sum() == NAMED and named[:20].all() and named[-20:].all()
    table.loc[30, "difference"] = 0.3
    assert name_largest(table)["named"].to_numpy()[30]
    assert name_largest(table.head(NAMED))["named"].all()


# figures --------------------------------------------------------------------------------------------------------


def test_accuracy_is_drawn_with_its_interval(tables, world):
    drawn = drawn_accuracy(tables["accuracy"], tables["parity"])
    figure = draw_accuracy(drawn, "before", LOOK)
    c, plain, probe = (panel for panel in figure.axes if panel.axison)
    assert title(c) == ["c", "own head", "n = 720 predictions of 240 images", "95 % t intervals over images"]
    assert title(plain) == ["plain", "own head", "n = 300, Wilson 95 %"]
    assert title(probe)[:2] == ["plain", "probe of the reference"]
    assert [t.get_text() for t in plain.get_xticklabels()] == ["A", "B", "C"]
    right = {key: int(part["correct"].sum()) for key, part in world[1].groupby("key")}
    shown = {line.get_label(): line for line in plain.lines if line.get_label() in LABELS.values()}
    for key, label in LABELS.items():
        assert shown[label].get_ydata()[0] == pytest.approx(100 * right[key] / 300)
        assert (shown[label].get_color(), shown[label].get_marker()) == (LOOK.colour(key), LOOK.marker(key))
    bars = [line.get_ydata() for line in plain.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert bars == [pytest.approx([100 * end for end in wilson(right[key], 300)]) for key in LABELS]
    (baseline,) = (line for line in plain.lines if line.get_linestyle() == "--")
    assert baseline.get_ydata()[0] == pytest.approx(100 * right["before"] / 300)
    low, high = plain.get_ylim()
    assert low < min(map(min, bars)) and high > max(map(max, bars))
    over_images = tables["parity"].query("unit == 'image' and first == 'after'").iloc[0]
    found = [line.get_ydata() for line in c.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"][1]
    assert found == pytest.approx([100 * over_images[f"accuracy_{end}_first"] for end in ("low", "high")])
    plt.close(figure)


def test_small_differences_look_small():
    row = {"dataset": "d", "head": "own", "n": 10**6, "images": 10**6, "interval": "Wilson"}
    rows = [{**row, "model": m, "top1": t, "low": t - 1e-4, "high": t + 1e-4} for m, t in (("a", 0.8), ("b", 0.801))]
    figure = draw_accuracy(pd.DataFrame(rows), "a", Look())
    low, high = figure.axes[0].get_ylim()
    assert high - low >= 2
    plt.close(figure)


def test_bayes_factors_stand_on_jeffreys_tiers_under_their_ceiling(tables):
    drawn = drawn_factors(tables["parity"])
    figure = draw_factors(drawn, LOOK)
    assert [panel.get_title() for panel in figure.axes] == ["JZS, r = √2/2", "JZS, r = 1", "unit information"]
    for panel, prior in zip(figure.axes, ("jzs", "jzs_r1", "unit"), strict=True):
        part = drawn[drawn["prior"] == prior]
        shown = {m: [x for x in panel.lines if x.get_label() == m] for m in ("B", "C", CEILING)}
        for key in ("after", "shuffled"):
            expected = part.loc[part["first"] == key, "bf01"].clip(lower=1e-4).tolist()
            assert [line.get_ydata()[0] for line in shown[LABELS[key]]] == expected
        assert [line.get_ydata()[0] for line in shown[CEILING]] == part["ceiling"].tolist()
        assert panel.get_yscale() == "log"
    assert {1, 3, 10, 30, 100} <= set(figure.axes[0].get_yticks())
    assert drawn.query("prior == 'jzs_r1' and head == 'probe'")["ceiling"].iloc[0] == pytest.approx(bf01_jzs(0, 60, 1))
    assert "n = 240 images" in figure.axes[0].get_xticklabels()[0].get_text()  # of 720 predictions
    # the hopeless model lies below the axis: at its edge, with the logarithm beside it
    assert drawn["bf01"].min() < 1e-4
    assert any("ln BF" in text.get_text() for text in figure.axes[0].texts)
    assert {"decisive", "very strong", "anecdotal, against"} <= {text.get_text() for text in figure.axes[2].texts}
    plt.close(figure)


def test_directions_against_the_diagonal(tables):
    drawn = {"corruption": changes(tables["parity_corruptions"], "corruption")}
    drawn["class"] = changes(tables["parity_classes"], "class")
    figure = draw_directions(drawn, LOOK)
    shown = [panel for panel in figure.axes if panel.axison]
    assert len(shown) == 2 + 2 + 2 + 1
    worst = shown[1]
    part = drawn["corruption"].query("first == 'shuffled'")
    assert (worst.get_xlabel(), worst.get_ylabel()) == ("A, %", "C, %")
    assert title(worst) == ["c", "own head", counted(part["direction"]), "n = 240 images a corruption"]
    for way in WAYS:
        of = part[part["direction"] == way]
        at = points(worst, way)
        assert at == pytest.approx(100 * of[["accuracy_second", "accuracy_first"]].to_numpy())
        x, y = at.T
        assert {"better": (y > x), "worse": (y < x), "tie": (y == x)}[way].all()
    ends = worst.lines[0]
    assert (ends.get_xdata() == ends.get_ydata()).all() and worst.get_xlim() == worst.get_ylim()
    inside = 100 * part[["accuracy_second", "accuracy_first"]].to_numpy()
    assert worst.get_xlim()[0] < inside.min() and inside.max() < worst.get_xlim()[1]
    plt.close(figure)


def test_all_classes_are_drawn_and_the_largest_changes_named(tables):
    found = changes(tables["parity_classes"], "class").query("dataset == 'c' and first == 'shuffled'")
    drawn = name_largest(found)
    figure = draw_changes("class", drawn, LOOK)
    panel = figure.axes[0]
    assert title(panel) == ["C - A", "c", "own head", counted(drawn["direction"]), "n = 4 images a class"]
    at = np.concatenate([points(panel, way) for way in WAYS])
    assert len(at) == 60 and sorted(at[:, 1]) == list(range(60))
    assert at[np.argsort(-at[:, 1]), 0] == pytest.approx(100 * drawn["difference"].to_numpy())  # largest gain on top
    assert (np.diff(drawn["difference"]) < 1e-9).all()
    assert [t.get_text() for t in panel.get_yticklabels()] == drawn.loc[drawn["named"], "class"].tolist()
    least = drawn.loc[drawn["named"], "difference"].abs().min()
    assert drawn.loc[~drawn["named"], "difference"].abs().max() <= least + 1e-9
    bars = np.concatenate(
        [
            np.array(c.get_segments())[:, :, 0]
            for c in panel.collections
            if isinstance(c, LineCollection) and len(c.get_segments())
        ]
    )
    expected = 100 * drawn[["ci_low", "ci_high"]].to_numpy()
    assert np.sort(bars, axis=0) == pytest.approx(np.sort(expected, axis=0))
    plt.close(figure)


def test_colours_and_markers_tell_models_apart():
    roles = {"a": "reference", **{f"t{i}": "tuned" for i in range(5)}, "c": "control"}
    assert len(set(markers(roles).values())) == len(set(colours(roles).values())) == 7
    for palette in PALETTES.values():
        assert len({colour for colour, _ in ways(palette).values()}) == len({m for _, m in ways(palette).values()}) == 3


def write_run(folder, tables, **said):
    (folder / "figures").mkdir(parents=True)
    run = Run(folder)
    for name, table in tables.items():
        run.write_table(name, table)
    lists = {name: tables[name].to_dict("records") for name in ("accuracy", "parity") if name in tables}
    run.write_json("summary.json", {**lists, **said})
    return run


def test_each_figure_is_written_with_what_it_shows(tables, tmp_path):
    few = {name: table[table.get("first", table.get("model")) != "shuffled"] for name, table in tables.items()}
    few["parity_classes"] = few["parity_classes"].assign(
        **{"class": few["parity_classes"]["label"].map(lambda i: f"{i} {HOSTILE}")}
    )
    run = write_run(tmp_path / "run", few)
    written = write_parity_figures(run, "before", look_of(ROLES, {**LABELS, "after": HOSTILE}))
    names = ["accuracy", "bayes_factors", "bayes_sensitivity", "directions", "corruption_changes", "class_changes"]
    assert written == [f"figures/{name}.{kind}" for name in names for kind in ("png", "svg", "pdf", "csv")]
    assert all(run.file(name).stat().st_size for name in written)
    drawn = run.table("figures/class_changes")
    assert len(drawn) == 60 + 3 + 3 and set(drawn["head"]) == {"own", "probe"}
    assert HOSTILE in drawn["class"].iloc[0]
    assert len(run.table("figures/directions")) == len(drawn) + 3
    assert set(run.table("figures/accuracy")["interval"]) == {"Wilson", "t over images"}
    assert len(run.table("figures/bayes_factors")) == 3 * 3


def test_nothing_is_drawn_of_a_table_that_is_absent(tables, tmp_path):
    assert write_parity_figures(write_run(tmp_path / "none", {}), "before", LOOK) == []
    assert list((tmp_path / "none" / "figures").iterdir()) == []
    alone = write_run(tmp_path / "alone", {"accuracy": tables["accuracy"].query("model == 'before'")})
    written = write_parity_figures(alone, "before", LOOK)
    assert written == [f"figures/accuracy.{kind}" for kind in ("png", "svg", "pdf", "csv")]
    old = write_run(tmp_path / "old", {"parity": tables["parity"].query("head == 'own'").drop(columns="head")})
    written = write_parity_figures(old, "before", LOOK)
    assert {name.partition(".")[0] for name in written} == {"figures/bayes_factors", "figures/bayes_sensitivity"}


# report ---------------------------------------------------------------------------------------------------------


def test_tables_of_the_report(tables, tmp_path):
    why = [{"dataset": "elsewhere", "model": "after", "reason": "no head"}]
    run = write_run(tmp_path / "run", tables, parity_not_run=why)
    summary, found = run.json("summary.json"), read_changes(run)
    rates, compared, corruptions, classes = parity_tables(summary, "c", LABELS, found)
    assert [row[:3] for row in rates.rows] == [(model, "own head", "720") for model in "ABC"]
    assert "too narrow here" in rates.title
    names, *columns = zip(compared.head, *compared.rows, strict=True)
    cells = [dict(zip(names, column, strict=True)) for column in columns]
    shown = [(cell["model"], cell["unit"]) for cell in cells]
    assert shown == [("B", "prediction"), ("B", "image"), ("C", "prediction"), ("C", "image")]
    pooled, images = (
        tables["parity"].query(f"dataset == 'c' and first == 'after' and unit == '{u}'").iloc[0]
        for u in ("prediction", "image")
    )
    assert cells[0]["only reference right"] == f"{pooled['only_second']:.0f}"
    assert "read the row of images" in cells[0]["note"] and cells[1]["note"] == ""
    assert cells[1]["difference, points"] == f"{100 * images['difference']:+.2f}"
    assert cells[1]["BF01, r = 1 (ceiling)"] == f"{images['bf01_jzs_r1']:.3g} ({images['ceiling_jzs_r1']:.3g})"
    assert cells[1]["design effect"] == f"{images['design_effect']:.2f}"
    assert cells[1]["TOST p (margin)"].endswith("(1 point)")
    assert len(corruptions.rows) == 6 and len(classes.rows) == 20
    hers = found["class"].query("dataset == 'c' and first == 'shuffled'")
    assert classes.title.endswith(f"C: {counted(hers['direction'])}.")
    lines = parity_lines(summary, "c", LABELS)
    assert len(lines) == 2 and all("n = 240" in line for line in lines)
    assert "B against A (probe of the reference)" in parity_lines(summary, "plain", LABELS)[-1]
    assert parity_lines(summary, "elsewhere", LABELS) == ["B: not run: no head"]
    assert preprocessing(summary, "c", LABELS) == ["Preprocessing: squashed."]
    summary["accuracy"][0]["preprocessing"] = None
    summary["accuracy"][1]["preprocessing"] = "cropped"
    assert preprocessing(summary, "c", LABELS) == ["Preprocessing of B: cropped.", "Preprocessing of C: squashed."]


def test_a_run_shows_classification_of_every_data_set(monkeypatch, study, tables, capsys):
    assert run_small(monkeypatch, study, "--set", "training.epochs=1", "--set", "metrics=[nss]") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Classification: table" in said and "equivalence within 1 point" in said
    run = Run(study / "run")
    page = (study / "run" / "report.html").read_text()
    assert "<h2>Classification</h2>" in page and "BF01, unit (ceiling)" in page and "Classes with the largest" in page
    drawn = run.stages()["figures"]["outputs"]
    assert {"figures/accuracy.png", "figures/bayes_factors.png", "figures/class_changes.csv"} <= set(drawn)
    # as `gazetune parity` adds a data set without fixations, and a model that could not be run
    keys = {"before": "before", "after": "after-s42", "shuffled": "shuffled-s42"}
    summary, labels = json.loads((study / "run" / "summary.json").read_text()), dict.fromkeys(keys.values(), HOSTILE)
    for name in ("parity", "accuracy", "parity_classes", "parity_corruptions"):
        more = tables[name].replace(keys).assign(**{"class": HOSTILE})
        if name in summary:
            summary[name] += more.astype(object).where(more.notna(), None).to_dict("records")
        else:
            run.write_table(name, more)
    summary["parity_not_run"] = [{"dataset": HOSTILE, "model": "after-s42", "reason": HOSTILE}]
    run.write_json("summary.json", summary)
    metrics = {"nss": METRICS["nss"]}
    settings = of_run(run).model_dump(mode="json")
    write_report(run, "table", settings, {k: ROLES[name] for name, k in keys.items()}, labels, metrics)
    page = (study / "run" / "report.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert all(f"<h3>{name}</h3>" in page for name in ("table", "c", "plain")) and "By corruption" in page
    assert "not run: " in page and "Preprocessing: squashed." in page
    console = Console(width=120, record=True, file=(study / "said.txt").open("w"))
    about = {"_labels": labels, "_roles": {k: ROLES[n] for n, k in keys.items()}, "_metrics": {}, "_run": run.path}
    print_classification({**summary, **about}, console)
    said = console.export_text()
    assert HOSTILE in said and "By corruption" in said and "BF01, unit" in said
    for empty in ({"accuracy": [], "parity": []}, {}):
        print_classification({**empty, **about}, console)
        assert "No data set of this run was classified" in console.export_text()
    print_summary({**summary, **about, "datasets": {}}, console)
    assert "Classification: plain" in console.export_text()

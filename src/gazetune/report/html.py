"""report.html: one self-contained file with the answer, every table and every figure."""

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
import pandas as pd

from gazetune.metrics import Metric
from gazetune.report.biases import bias_tables
from gazetune.report.gain import REGRESSION, category_rows, quartile_rows, rises, seed_rows
from gazetune.report.methods import method_table
from gazetune.report.parity import classified, left_out, not_run, parity_lines, parity_tables, preprocessing
from gazetune.report.people import people
from gazetune.report.words import accuracy_lines, answer, number, p_value, row_name, shares, table_rows
from gazetune.run import CONFIG, PROVENANCE, Run
from gazetune.tables.changes import read_changes

ALT = {
    "alignment": "Mean of every metric for humans, the centre prior and each model; error bars are 1 SEM.",
    "consistency": "Gain in CC of each test image against how far its observers agree, with the least-squares line.",
    "examples": "Test images at quantiles (95 to 5 %) of the gain in CC: photo, human fixation density, the attention "
    "map of each model, and the difference of the two models named (red: more attention, blue: less).",
    "heads": "How human-like each attention head is: mean CC of its [CLS] attention (of a model that is not read at "
    "[CLS]: the mean over its patches) with the human density maps, by layer (rows, 1 is the first) and head (columns; "
    "mean: the average over the heads of a layer). One panel a model, one scale, in whose bar a line marks the mean "
    "training map; a frame marks the best head of each model.",
    "methods": "Mean CC with its 95 % interval by several attention methods (across), one line a model.",
}
CLASSIFICATION = {
    "accuracy": "Top-1 accuracy of each model by data set and classification head, with 95 % intervals; the dashed "
    "line is the reference. Axes do not begin at 0.",
    "bayes_factors": "Bayes factors for equal accuracy of each model and the reference on a log scale, against "
    "Jeffreys' tiers, under three priors; bars mark the largest value that each can have (t = 0).",
    "bayes_sensitivity": "The Bayes factor against the scale of its prior; dashed the largest value it can have.",
    "directions": "Accuracy of each model over that of the reference, by corruption and by class. Triangles up "
    "(green): the model is better, down (orange): the reference is, circles (grey), on the diagonal: both are equal.",
    "corruption_changes": "Change of accuracy against the reference by corruption, in order, with 95 % intervals.",
    "class_changes": "Change of accuracy against the reference by class, in order, with 95 % intervals; where there "
    "are many classes only the largest changes are named.",
}


def write_report(
    run: Run, main: str | None, roles: Mapping[str, str], labels: Mapping[str, str], metrics: Mapping[str, Metric]
) -> list[str]:
    """Write report.html from the run's summary, tests and figures. Names are escaped: they appear as text.

    main: the data set that the answer is about; None where images were only classified.
    """
    summary, provenance = run.json("summary.json"), run.json(PROVENANCE)
    drawn = run.stages()["figures"]["outputs"]  # a figure that lies there may be of other settings
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((resources.files("gazetune") / "report" / "template.html").read_text("utf-8"))
    packages = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    host, changes = provenance["host"], read_changes(run) if summary.get("parity") else {}
    page = template.render(
        title=f"gazetune: {summary['experiment']}",
        answer="" if main is None else answer(summary, main, roles, labels),
        costs=[(n, parity_lines(summary, n, labels)) for n in classified(summary) if n not in summary["datasets"]],
        regression=REGRESSION,
        metrics=[metric.heading or name for name, metric in metrics.items()],
        datasets=[_dataset(summary, name, labels, metrics) for name in summary["datasets"]],
        figures=[_figure(run, name, alt) for name, alt in ALT.items() if f"figures/{name}.png" in drawn],
        compared=[_figure(run, name, alt) for name, alt in CLASSIFICATION.items() if f"figures/{name}.png" in drawn],
        classification=[_classification(summary, name, labels, changes) for name in classified(summary)],
        training=[_training(labels.get(key, key), t) for key, t in summary["training"].items()],
        accuracy_while_tuned=accuracy_lines(summary, labels),
        citations=list(
            dict.fromkeys(
                about["citation"]
                for about in (*summary["datasets"].values(), *summary.get("classified", {}).values())
                if about["citation"]
            )
        ),
        command=provenance["command"],
        environment=f"gazetune {provenance['gazetune']} (commit {provenance['commit'] or 'unknown'}), Python "
        f"{provenance['python']}, {packages}, on {host['system']} ({provenance['device']}).",
        config=run.file(CONFIG).read_text("utf-8"),
    )
    return [run.write("report.html", page)]


def _dataset(
    summary: dict[str, Any], name: str, labels: Mapping[str, str], metrics: Mapping[str, Metric]
) -> dict[str, Any]:
    about = summary["datasets"][name]
    left_out = "; ".join(f"{n} with {why}" for why, n in about["images_with_a_reason"].items()) or "none"
    records = "; ".join(f"{n} with {why}" for why, n in about["records_left_out"].items()) or "none"
    images = ", ".join(f"{n} {split}" for split, n in about["images"].items() if n)
    tests = [t for t in summary["tests"] if t["dataset"] == name]
    return {
        "name": name,
        "n": about["images"]["test"],
        "counts": f"Images: {images}. {_protocol(about)}Fixations: {about['fixations']:,}, besides "
        f"{about['fixations_outside_their_image']} outside their image. Images with a reason: {left_out}. "
        f"Scores missing: {_missing(summary, name, labels)}. "
        f"Records of the files left out: {records}.",
        "maps": [_ready(labels.get(key, key), about) for key, about in about["maps"].items()],
        "rows": table_rows(summary, name, labels, list(metrics)),
        "shares": shares(summary, name, labels, metrics),
        "rises": rises(summary, name, labels),
        "quartiles": quartile_rows(summary, name, labels),
        "categories": category_rows(summary, name, labels),
        "seeds": seed_rows(summary, name, metrics),
        "reasons": [tuple(r.values()) for r in about["reasons"]],
        "tests": [_test(t, labels, metrics) for t in tests],
        "biases": bias_tables(summary, name, labels),
        "methods": method_table(summary, name, labels),
        "people": people(summary, name, labels, metrics),
    }


def _classification(
    summary: dict[str, Any], name: str, labels: Mapping[str, str], changes: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    return {
        "name": name,
        "lines": [
            *preprocessing(summary, name, labels),
            *left_out(summary, name),
            *not_run(summary, name, labels),
        ],
        "tables": parity_tables(summary, name, labels, changes),
    }


def _protocol(about: dict[str, Any]) -> str:
    """What early stopping on test images means, where it was done."""
    n = about.get("tested_and_stopped_on", 0)
    if not n:
        return ""
    return (
        f"Protocol of the paper: training was stopped by the loss on {n} of the test images, so weights were chosen on "
        f"images that they are tested on, and tuned models may score a little too well. "
    )


def _missing(summary: dict[str, Any], name: str, labels: Mapping[str, str]) -> str:
    """How many images of which row have a score missing, and why."""
    of = [r for r in summary["reasons"] if r["dataset"] == name]
    return "; ".join(f"{row_name(r['model'], labels)}: {r['n']} ({r['reason']})" for r in of) or "none"


def _ready(label: str, about: dict[str, Any]) -> str:
    """What was done to a folder of ready-made maps, in words."""
    sizes = ", ".join(f"{n} of {size}" for size, n in about["sizes"].items())
    without = f" {len(about['reasons'])} images have no usable map." if about["reasons"] else ""
    done = "brought to the map grid (bilinear, antialiased) and scaled to 0..1"
    return f"{label}: ready-made maps, {sizes}; {done}.{without}"


def _test(test: dict[str, Any], labels: Mapping[str, str], metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    first, second = (row_name(test[k], labels) for k in ("first", "second"))
    interval = f"{number(test['ci_low'])} to {number(test['ci_high'])}"
    name = metrics[test["metric"]].label or test["metric"]
    values = (str(test["n"]), number(test["difference"]), interval, number(test["t"], 2), str(test["df"]))
    return (name, first, second, *values, p_value(test["p"]), number(test["d"], 2))


def _training(label: str, state: dict[str, Any]) -> tuple[str, ...]:
    start = state["evaluated"].get("0")
    share = f"{state['parameters']:,} ({state['learnable'] / state['parameters']:.1%})"
    losses = (number(start), number(state["best_loss"]), "yes" if state["stopped_early"] else "no")
    return (label, f"{state['learnable']:,}", share, str(state["step"]), str(state["best_step"]), *losses)


def _figure(run: Run, name: str, alt: str) -> dict[str, str]:
    return {"alt": alt, "data": base64.b64encode(run.file(f"figures/{name}.png").read_bytes()).decode()}

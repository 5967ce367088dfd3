"""The page's tables of alignment: means of every row and metric, the paired tests, and how trainings went."""

from collections.abc import Mapping
from typing import Any

from gazetune.metrics import Metric
from gazetune.report.words import (
    Shown,
    bracketed,
    in_question,
    mean_interval,
    number,
    p_value,
    row_name,
    shares,
    table_rows,
)
from gazetune.tables.rows import PRIORS

Summary = Mapping[str, Any]
Labels = Mapping[str, str]
Metrics = Mapping[str, Metric]
MOST_ROWS = 300  # of paired tests that the page shows; tests.csv has all
PER_CENT = (
    "Per cent: how much of the way from the centre prior (0%) to humans by halves (100%) the mean has gone; none where "
    "humans do not beat the prior."
)


def alignment_table(summary: Summary, dataset: str, labels: Labels, metrics: Metrics) -> Shown:
    """One line a metric, one column a row of maps, models first: mean, SD, 95 % t interval, share of the way."""
    whole = summary["datasets"][dataset]["images"]["test"]
    pairs = zip(
        table_rows(summary, dataset, labels, list(metrics)), shares(summary, dataset, labels, metrics), strict=True
    )
    columns = sorted(pairs, key=lambda pair: pair[0][0] not in labels.values())
    found = {(row_name(a["model"], labels), a["metric"]): a for a in summary["alignment"] if a["dataset"] == dataset}
    lines = []
    for place, (name, metric) in enumerate(metrics.items(), 1):
        cells = [_cell(row[place], found.get((row[0], name)), share[place - 1]) for row, share in columns]
        lines.append((metric.heading or name, *cells))
    title = (
        f"Mean, ± SD and [95 % t interval of the mean] over n = {whole} test images, unless a cell says otherwise. "
        f"↑ higher is better, ↓ lower is better. sAUC near .5 means: no more than a centre bias. {PER_CENT}"
    )
    return Shown(title, ("metric", *(row[0] for row, _ in columns)), lines, "images.csv")


def _cell(mean_sd: str, found: Mapping[str, Any] | None, share: str) -> str:
    """Lines of a cell: the mean (and n where it is lower), ± SD, interval, share of the way."""
    mean, _, sd = mean_sd.partition(" ± ")
    sd, few = (sd.partition(" (")[0], sd.partition(" (")[2])
    interval = bracketed(*mean_interval(found["mean"], found["sem"], found["n"])) if found else ""
    lines = [mean + (f" ({few}" if few else ""), *([f"± {sd}"] if sd else []), interval.strip(), share]
    return "\n".join(line for line in lines if line)


def tests_table(summary: Summary, dataset: str, roles: Mapping[str, str], labels: Labels, metrics: Metrics) -> Shown:
    """Every paired test, those of the models in question first; at most MOST_ROWS."""
    asked, rivals = in_question(roles), {k for k, role in roles.items() if role in ("reference", "control")}

    def rank(test: Mapping[str, Any]) -> int:
        pair = {test["first"], test["second"]}
        return 0 if pair & set(asked) and pair & {*rivals, *PRIORS} else 1 if pair & set(asked) else 2

    tests = sorted((t for t in summary["tests"] if t["dataset"] == dataset), key=rank)
    first = f" The first {MOST_ROWS} of {len(tests)} are shown." if len(tests) > MOST_ROWS else ""
    title = (
        "Difference of the means (first minus second) with its 95 % interval; two-sided paired t over images; "
        f"d = mean difference / SD of differences; Holm: p corrected over the metrics of a pair.{first}"
    )
    head = ("metric", "first", "second", "n", "difference", "t", "df", "p", "p (Holm)", "d")
    return Shown(title, head, [_test(t, labels, metrics) for t in tests[:MOST_ROWS]], "tests.csv")


def _test(test: Mapping[str, Any], labels: Labels, metrics: Metrics) -> tuple[str, ...]:
    first, second = (row_name(test[k], labels) for k in ("first", "second"))
    name = metrics[test["metric"]].label or test["metric"] if test["metric"] in metrics else test["metric"]
    difference = number(test["difference"]) + bracketed(test["ci_low"], test["ci_high"])
    values = (str(test["n"]), difference, number(test["t"], 2), str(test["df"]))
    return (name, first, second, *values, p_value(test["p"]), p_value(test["p_holm"]), number(test["d"], 2))


def training_table(summary: Summary, labels: Labels) -> Shown:
    """One line a tuned model: what could learn, its steps and its validation loss at the start and at the best step."""
    rows = []
    for key, state in summary["training"].items():
        share = f"{state['parameters']:,} ({state['learnable'] / state['parameters']:.1%})"
        losses = (number(state["evaluated"].get("0")), number(state["best_loss"]))
        steps = (str(state["step"]), str(state["best_step"]))
        ended = "yes" if state["stopped_early"] else "no"
        rows.append((labels.get(key, key), f"{state['learnable']:,}", share, *steps, *losses, ended))
    title = (
        "Validation loss is distillation + λ · attention (and any other term of its training); the best weights are "
        "those of its lowest value, where an accuracy is to be kept among the evaluations that keep it."
    )
    head = ("model", "learnable", "of parameters", "steps", "best step", "loss: start", "loss: best", "stopped early")
    return Shown(title, head, rows, "log.jsonl")

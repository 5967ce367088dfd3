"""Did biases move? Each contrast of regions and the sparsity of the tuned model against the reference, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from gazetune.report.words import compared, is_shown, listed, number, row_name, test_between
from gazetune.tables.rows import HUMAN

ENTROPY = "entropy_bits"
Summary = Mapping[str, Any]
Row = Mapping[str, Any]


def moved(
    summary: Summary, dataset: str, model: str, reference: str, labels: Mapping[str, str]
) -> list[tuple[str, str]]:
    """The verdict on the biases and its numbers; on sparsity alone where the data set has no annotated objects."""
    shifts = [*_contrasts(summary, dataset, model, reference), *_sparsity(summary, dataset, model, reference)]
    absent = [] if any(name != "sparsity" for name, *_ in shifts) else ["no annotated objects, so no contrasts"]
    if not shifts:
        return [("Biases could not be measured", f"on {dataset}: {absent[0]}.")]
    words = [f"{name} {_word(test, p, human)}" for name, test, p, human, _ in shifts]
    numbers = [
        f"{what} {number(test['mean_first'])} against {number(test['mean_second'])} of {row_name(reference, labels)} "
        f"(difference {test['difference']:+.3f} [{number(test['ci_low'])}, {number(test['ci_high'])}], "
        f"n = {test['n']:,}, p {compared(p)}{'' if human is None else f'; people {number(human)}'})"
        for _, test, p, human, what in shifts
    ]
    return [(f"Biases: {listed(words)}:", "; ".join([*numbers, *absent]) + ".")]


def _contrasts(
    summary: Summary, dataset: str, model: str, reference: str
) -> Iterator[tuple[str, Row, float | None, float | None, str]]:
    """Analysis, test of the contrasts of two models, its p (Holm over the analyses), people's contrast, its name."""
    means = {
        (m["analysis"], m["measure"]): m["mean"]
        for m in summary.get("bias_means", [])
        if (m["dataset"], m["kind"], m["model"]) == (dataset, "contrast", HUMAN)
    }
    for test in summary.get("bias_tests", []):
        pair = (test["dataset"], test["kind"], test["first"], test["second"])
        if pair == (dataset, "contrast", model, reference) and test["difference"] is not None:
            of = test["analysis"], test["measure"]
            yield test["analysis"].replace("_", " "), test, test["p_holm"], means.get(of), test["measure"]


def _sparsity(
    summary: Summary, dataset: str, model: str, reference: str
) -> Iterator[tuple[str, Row, float | None, float | None, str]]:
    test = test_between(summary, dataset, ENTROPY, model, reference)
    if test is not None and test["difference"] is not None:
        rows = (a for a in summary["alignment"] if (a["dataset"], a["metric"]) == (dataset, ENTROPY))
        human = next((a["mean"] for a in rows if a["model"] == HUMAN), None)
        yield "sparsity", test, test["p"], human, "entropy in bits"


def _word(test: Row, p: float | None, human: float | None) -> str:
    """Which way a bias went, from where people stand."""
    if not is_shown(p):
        return "was not shown to move"
    if human is None:
        return "rose" if test["difference"] > 0 else "fell"
    before, after = test["mean_second"] - human, test["mean_first"] - human
    if abs(after) < abs(before):
        return "moved towards people" if before * after >= 0 else "moved towards people and past them"
    return "moved past people" if before * after < 0 else "moved away from people"

"""The Methods section from the metrics on: what was measured, what classified, which tests; from a run's summary."""

from collections.abc import Iterator, Mapping
from typing import Any

from gazetune.metrics import METRICS
from gazetune.report.parity import classified
from gazetune.report.words import listed
from gazetune.tables.rows import MEAN_MAP, OTHERS, ROWS

Summary = Mapping[str, Any]
SOURCES = {
    "sauc": "sAUC, whose negatives are the fixations on other images",
    "ig_bits": "information gain over the centre prior in bits per fixation (Kümmerer, Wallis & Bethge, 2015)",
    "kl": "KL divergence human || model",
    "kl_reverse": "KL divergence model || human",
    "partial_cc": "CC with the centre prior held constant",
    "entropy_bits": "entropy of the map in bits, which has no better side",
}
ANALYSES = {
    "animacy": "animate against inanimate objects, without images that show tv, laptop, cell phone, teddy bear or "
    "potted plant",
    "object_size": "objects of less than 1,024 px² against those of more than 9,216 px² (bounds of Lin et al., 2014), "
    "the mean of each object's density, on images with two objects or more",
}


def tests_paragraphs(settings: Mapping[str, Any], summary: Summary) -> list[tuple[str, str]]:
    """Metrics, biases, classification and statistics, as far as the run has them; each with its heading."""
    parts = []
    if summary["datasets"]:
        parts.append(("Metrics.", " ".join(_metrics(settings, summary))))
    if summary.get("bias_tests"):
        parts.append(("Biases.", " ".join(_biases(summary))))
    if classified(summary):
        parts.append(("Classification.", " ".join(_classification(summary))))
    return [*parts, ("Statistics.", " ".join(_statistics(summary)))]


def _metrics(settings: Mapping[str, Any], summary: Summary) -> Iterator[str]:
    names = [SOURCES.get(name) or (METRICS[name].label if name in METRICS else name) for name in settings["metrics"]]
    yield f"Each test image was scored by {listed(names)} (Bylinskii et al., 2019)."
    rows = {a["model"] for a in summary["alignment"]}
    shown = [name for key, name in ROWS.items() if key in rows]
    yield f"Rows beside the models: {listed(shown)}." if shown else ""
    if MEAN_MAP in rows:
        yield "The centre prior is the mean map of the training images."
    elif OTHERS in rows:
        yield "The centre prior of an image is the mean map of the other images."
    if any(c["n"] for c in summary.get("consistency", [])):
        yield "Consistency of the observers is the mean CC between the maps of each two of them."


def _biases(summary: Summary) -> Iterator[str]:
    names = dict.fromkeys(t["analysis"] for t in summary["bias_tests"] if t["kind"] == "contrast")
    yield (
        "Attention density of a region is the share of the map on it, divided by its pixels, times 10,000; objects "
        "were painted by falling area, so that small ones stay visible."
    )
    measured = {t["analysis"]: t["measure"] for t in summary["bias_tests"] if t["kind"] == "contrast"}
    said = [f"{name.replace('_', ' ')}: {ANALYSES.get(name, measured[name])}" for name in names]
    if said:
        yield f"Contrasts: {'; '.join(said)}. The contrast is the difference of the densities within an image."
    yield "Sparsity is the entropy of the map."


def _classification(summary: Summary) -> Iterator[str]:
    """One sentence a data set, and what was compared."""
    for name in classified(summary):
        about = summary.get("classified", {}).get(name)
        if about is None:
            of = next((a for a in summary.get("accuracy", []) if a["dataset"] == name), None)
            yield f"{name}: the {of['n']:,} labelled test images." if of else ""
            continue
        corruptions = about["corruptions"]
        how = dict.fromkeys(about["preprocessing"].values())
        yield (
            f"{name}: {about['images']:,} images of {about['classes']:,} classes"
            f"{f', {_corrupted(about)}' if corruptions else ''}; {'; '.join(map(str, how))}."
        )
        if "Barbu" in str(about["citation"]) or about["kind"] == "objectnet":
            yield "Right is any of the ImageNet classes that stand for an object's class (Barbu et al., 2019)."
        heads = {a["head"] for a in summary.get("accuracy", []) if a["dataset"] == name}
        if heads - {"own", None}:
            yield (
                f"Models without a head had linear ones: logistic regression in {about['folds']} folds (seed "
                f"{about['probe_seed']}), fitted to the reference or to each model."
            )


def _corrupted(about: Mapping[str, Any]) -> str:
    severities = ", ".join(map(str, about["severities"]))
    return (
        f"with {len(about['corruptions'])} corruptions at severity {severities} of the whole {about['corrupt_at']} "
        f"(Hendrycks & Dietterich, 2019)"
    )


def _statistics(summary: Summary) -> Iterator[str]:
    yield "Intervals are of 95 %. p below .05 is called shown, and is uncorrected unless it says Holm."
    if summary["datasets"]:
        yield (
            "Rows were compared by two-sided paired t-tests over images, with d = mean difference / SD of the "
            "differences; the tables add bootstrap intervals (Efron, 1979; 10,000 draws), Wilcoxon's test (Wilcoxon, "
            "1945) and p corrected over the metrics of a pair (Holm, 1979)."
        )
    if summary.get("correlations"):
        yield "Intervals of correlations are by Fisher's z (Fisher, 1921)."
    if summary.get("observer_tests"):
        yield "Differences over observers are bootstrapped over images, and over images and observers (Owen, 2007)."
    if summary.get("accuracy"):
        yield "Accuracies have Wilson's intervals (Wilson, 1927)."
    if summary.get("parity"):
        yield (
            "Each model was compared with the reference by the paired t over images of right and wrong, McNemar's "
            "exact test (McNemar, 1947), two one-sided tests against the margin (Schuirmann, 1987) and Bayes factors "
            "for equality: JZS (Rouder et al., 2009) with r = √2/2 and r = 1, and by unit information (Wagenmakers, "
            "2007), each beside its ceiling (t = 0); in Jeffreys' words (Jeffreys, 1961; Lee & Wagenmakers, 2013)."
        )

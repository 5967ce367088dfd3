"""Every figure of a run, from its tables, maps and decoded photos; no model is needed."""

from collections.abc import Collection, Mapping

import pandas as pd

from gazetune.figures.accuracy import drawn_accuracy
from gazetune.figures.alignment import draw_alignment
from gazetune.figures.biases import write_biases
from gazetune.figures.consistency import draw_consistency, draw_quartiles
from gazetune.figures.examples import draw_examples_of, drawn_examples
from gazetune.figures.gain import draw_gain_categories, draw_gain_images, drawn_categories
from gazetune.figures.heads import write_heads
from gazetune.figures.methods import write_methods
from gazetune.figures.palette import Look
from gazetune.figures.pareto import write_pareto_of_run
from gazetune.figures.parity import write_parity_figures
from gazetune.figures.sparsity import write_sparsity
from gazetune.figures.style import save
from gazetune.metrics import Metric
from gazetune.prepared import load_prepared
from gazetune.run import SUMMARY, Run
from gazetune.tables.rows import CEILING, HUMAN, PRIORS, keyed


def write_figures(
    run: Run,
    dataset: str | None,
    roles: Mapping[str, str],
    look: Look,
    metrics: Mapping[str, Metric],
    sizes: Collection[tuple[int, int]],
) -> list[str]:
    """Every figure that the run has the numbers of (figures.alt.ALT; docs/figures.md): those of `dataset`, and of
    classification of every data set. Each in several formats, with the CSV it was drawn from.

    Examples show the first tuned model against the reference or, where nothing was tuned, the first other.

    Args:
        dataset: the one whose maps are drawn; None where images were only classified. roles: of each model, by key
            (see Experiment). look: of the models and the other rows. sizes: of the decoded photos.
    """
    reference = next(key for key, role in roles.items() if role == "reference")
    written = write_parity_figures(run, reference, look)
    if dataset is None:
        return written
    summary = run.json(SUMMARY)
    means = pd.DataFrame(summary["alignment"]).query("dataset == @dataset")
    prior = next((row for row in PRIORS if (means["model"] == row).any()), None)
    rows = [row for row in (HUMAN, CEILING, prior, *roles) if row is not None]
    written += _alignment(run, means[means["model"].isin(rows)], metrics, look)
    if "correlations" in summary:  # else a gains.csv that lies there is of other settings
        written += _gains(run, dataset, look)
    if summary.get("bias_means"):
        written += write_biases(run, dataset, rows, look)
        written += write_sparsity(run, dataset, rows, roles, reference, look)
    if summary.get("parity"):
        written += write_pareto_of_run(run, dataset, run.table("parity"), reference, look)
    written += [*write_heads(run, dataset, look), *write_methods(run, dataset, look)]
    first = next((key for part in ("tuned", "other") for key, role in roles.items() if role == part), None)
    if first is None or "cc" not in metrics or not sizes:
        return written
    return written + _examples(run, dataset, look, list(roles), (first, reference), sizes)


def _alignment(run: Run, means: pd.DataFrame, metrics: Mapping[str, Metric], look: Look) -> list[str]:
    """`alignment`, and where images were classified `alignment_and_accuracy`."""
    written = save(run, "alignment", draw_alignment(means, metrics, look), means, look.formats)
    summary = run.json(SUMMARY)
    if not summary.get("accuracy"):
        return written
    parity = run.table("parity") if summary.get("parity") else pd.DataFrame()
    accuracy = drawn_accuracy(pd.DataFrame(summary["accuracy"]), parity)
    figure = draw_alignment(means, metrics, look, accuracy)
    both = pd.concat([means.assign(what="alignment"), accuracy.assign(what="accuracy")], ignore_index=True)
    return written + save(run, "alignment_and_accuracy", figure, both, look.formats)


def _gains(run: Run, dataset: str, look: Look) -> list[str]:
    """`gain_images`, `gain_categories`, `consistency`, `consistency_quartiles`, of the images that have the numbers."""
    gained, written = _of(run, "gains", dataset).dropna(subset=["gain"]), list[str]()
    against = gained[~gained["second"].isin(look.controls)]
    if len(against):
        shown = against[["image", "first", "second", "score_first", "score_second", "gain"]]
        written += save(run, "gain_images", draw_gain_images(shown, look), shown, look.formats)
    if "categories" in run.json(SUMMARY):
        categories = drawn_categories(_of(run, "categories", dataset), look.controls)
        if len(categories):
            written += save(run, "gain_categories", draw_gain_categories(categories, look), categories, look.formats)
    known = gained.dropna(subset=["consistency"])
    if len(known):
        lines = _of(run, "correlations", dataset).query("quantity == 'gain' and given.isna()")
        points = known[["image", "first", "second", "consistency", "gain"]]
        written += save(run, "consistency", draw_consistency(points, lines, look), points, look.formats)
    quartiles = _of(run, "quartiles", dataset).query("quantity in ('gain', 'normalised_gain') and n > 0")
    if len(quartiles):
        written += save(run, "consistency_quartiles", draw_quartiles(quartiles, look), quartiles, look.formats)
    return written


def _of(run: Run, name: str, dataset: str) -> pd.DataFrame:
    """The rows of one data set in a table of the run."""
    table = run.table(name)
    return table[table["dataset"] == dataset]


def _examples(
    run: Run, dataset: str, look: Look, keys: list[str], pair: tuple[str, str], sizes: Collection[tuple[int, int]]
) -> list[str]:
    scores = keyed(run.table(f"scores/{dataset}"))  # images.csv may have other attention methods too
    index, drawn = drawn_examples(scores, keys, *pair)
    test = load_prepared(run, dataset, sizes)
    gains = drawn.drop_duplicates("image")["gain"].tolist()
    titles = {key: look.name(key) for key in keys}
    # photos are pixels in any format: an SVG of them would only be larger
    figure = draw_examples_of(run, test, index, gains, titles, *pair, max(sizes))
    return save(run, "examples", figure, drawn, [kind for kind in look.formats if kind != "svg"])

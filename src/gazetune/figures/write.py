"""Every figure of a run, from its tables, maps and decoded photos; no model is needed."""

from collections.abc import Collection, Mapping

import pandas as pd

from gazetune.figures.alignment import draw_alignment
from gazetune.figures.consistency import draw_consistency
from gazetune.figures.examples import draw_examples_of
from gazetune.figures.heads import write_heads
from gazetune.figures.methods import write_methods
from gazetune.figures.parity import write_parity_figures
from gazetune.figures.style import PRIOR_COLOUR, colours, save
from gazetune.metrics import Metric
from gazetune.prepared import load_prepared
from gazetune.run import SUMMARY, Run
from gazetune.tables.rows import CEILING, HUMAN, PRIORS, ROWS, keyed


def write_figures(
    run: Run,
    dataset: str | None,
    roles: Mapping[str, str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
    sizes: Collection[tuple[int, int]],
) -> list[str]:
    """`figures/alignment.png`; `heads.png` where heads were scored; `methods.png` where methods were compared; where
    there is CC, `consistency.png` and `examples.png`; where images have labels, those of figures.parity, of every data
    set.

    Examples show the first tuned model against the reference or, where nothing was tuned, the first other.

    Args:
        dataset: the one whose maps are drawn; None where images were only classified. roles, labels: of each model, by
            key (see Experiment).
        sizes: of the decoded photos.
    """
    written = write_parity_figures(run, roles, labels)
    if dataset is None:
        return written
    summary = run.json(SUMMARY)
    means = pd.DataFrame(summary["alignment"]).query("dataset == @dataset")
    shown, paint = {**ROWS, **labels}, {**dict.fromkeys(PRIORS, PRIOR_COLOUR), **colours(roles)}
    prior = next((row for row in PRIORS if (means["model"] == row).any()), None)
    means = means[means["model"].isin([HUMAN, CEILING, prior, *roles])]
    written += save(run, "alignment", draw_alignment(means, metrics, shown, paint), means)
    if "correlations" in summary:  # else a gains.csv that lies there is of other settings
        written += _consistency(run, dataset, shown, paint)
    written += write_heads(run, dataset, labels)
    written += write_methods(run, dataset, labels, colours(roles))
    reference = next(key for key, role in roles.items() if role == "reference")
    first = next((key for part in ("tuned", "other") for key, role in roles.items() if role == part), None)
    if first is None or "cc" not in metrics or not sizes:
        return written
    scores = keyed(run.table(f"scores/{dataset}"))  # images.csv may have other attention methods too
    test = load_prepared(run, dataset, sizes)
    figure = draw_examples_of(run, test, scores, labels, first, reference, max(sizes))
    return written + save(run, "examples", figure)


def _consistency(run: Run, dataset: str, labels: Mapping[str, str], paint: Mapping[str, str]) -> list[str]:
    """`figures/consistency.png` with the points and lines it is drawn from, where an image has both its numbers."""
    gained = run.table("gains").query("dataset == @dataset").dropna(subset=["consistency", "gain"])
    lines = run.table("correlations").query("dataset == @dataset and quantity == 'gain' and given.isna()")
    if gained.empty:
        return []
    figure = draw_consistency(gained, lines, labels, paint)
    return save(run, "consistency", figure, gained[["image", "first", "second", "consistency", "gain"]])

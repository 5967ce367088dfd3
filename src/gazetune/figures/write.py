"""Every figure of a run, from its tables, maps and decoded photos; no model is needed."""

from collections.abc import Collection, Mapping

import pandas as pd

from gazetune.figures.alignment import draw_alignment
from gazetune.figures.examples import draw_examples_of
from gazetune.figures.heads import write_heads
from gazetune.figures.style import MEAN_MAP_COLOUR, colours, save
from gazetune.metrics import Metric
from gazetune.prepared import load_prepared
from gazetune.run import SUMMARY, Run
from gazetune.tables import MEAN_MAP, ROWS, keyed


def write_figures(
    run: Run,
    dataset: str,
    roles: Mapping[str, str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
    sizes: Collection[tuple[int, int]],
) -> list[str]:
    """`figures/alignment.png`, `figures/heads.png` where heads were scored, and, where a model was tuned and has CC,
    `figures/examples.png`.

    Args:
        dataset: the one to draw. roles, labels: of each model, by key (see Experiment). sizes: of the decoded photos.
    """
    means = pd.DataFrame(run.json(SUMMARY)["alignment"]).query("dataset == @dataset")
    shown, paint = {**ROWS, **labels}, {MEAN_MAP: MEAN_MAP_COLOUR, **colours(roles)}
    written = save(run, "alignment", draw_alignment(means, metrics, shown, paint), means)
    written += write_heads(run, dataset, labels)
    reference = next(key for key, role in roles.items() if role == "reference")
    first = next((key for key, role in roles.items() if role == "tuned"), None)
    if first is None or "cc" not in metrics:
        return written
    scores = keyed(run.images.query("dataset == @dataset"))
    test = load_prepared(run, dataset, sizes)
    figure = draw_examples_of(run, test, scores, labels, first, reference, max(sizes))
    return written + save(run, "examples", figure)

"""Every figure of a run, from its tables, maps and decoded photos; no model is needed."""

from collections.abc import Mapping

import pandas as pd

from gazetune.figures.alignment import draw_alignment
from gazetune.figures.examples import draw_examples_of
from gazetune.figures.style import colours, save
from gazetune.metrics import Metric
from gazetune.prepared import decoded_size, load_prepared
from gazetune.run import SUMMARY, Run
from gazetune.tables import keyed


def write_figures(
    run: Run, dataset: str, roles: Mapping[str, str], labels: Mapping[str, str], metrics: Mapping[str, Metric]
) -> list[str]:
    """`figures/alignment.png` and, where a model was tuned and has CC, `figures/examples.png`.

    Args:
        dataset: the one to draw. roles, labels: of each model, by key (see Experiment).
    """
    means = pd.DataFrame(run.json(SUMMARY)["alignment"]).query("dataset == @dataset")
    shown = {"human": "human", "mean_training_map": "mean map", **labels}
    paint = {"mean_training_map": "#F0E442", **colours(roles)}
    written = save(run, "alignment", draw_alignment(means, metrics, shown, paint), means)
    reference = next(key for key, role in roles.items() if role == "reference")
    first = next((key for key, role in roles.items() if role == "tuned"), None)
    if first is None or "cc" not in metrics:
        return written
    scores = keyed(run.images.query("dataset == @dataset"))
    test = load_prepared(run, dataset)
    figure = draw_examples_of(run, test, scores, labels, first, reference, decoded_size(run, dataset))
    return written + save(run, "examples", figure)

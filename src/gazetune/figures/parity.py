"""What tuning costs, in pictures: the panels of the paper's Figure 4 from the tables of a run."""

from collections.abc import Mapping

import pandas as pd

from gazetune.figures.accuracy import draw_accuracy, drawn_accuracy
from gazetune.figures.bayes import write_bayes
from gazetune.figures.directions import draw_changes, draw_directions, name_largest
from gazetune.figures.style import colours, markers, save
from gazetune.run import SUMMARY, Run
from gazetune.tables.changes import read_changes


def write_parity_figures(run: Run, roles: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    """`accuracy`, `bayes_factors`, `bayes_sensitivity`, `directions`, `corruption_changes` and `class_changes`.

    Each as PNG, SVG and CSV in `figures/`, of every data set in the tables, whether it has fixations or not; none
    where its table is absent or empty.

    Args:
        roles, labels: of the models, by key (see Experiment).
    """
    summary, paint, marks = run.json(SUMMARY), colours(roles), markers(roles)
    accuracy = pd.DataFrame(summary.get("accuracy", []))
    compared = bool(summary.get("parity"))  # else a parity.csv that lies there is of other settings
    table = run.table("parity") if compared else pd.DataFrame()
    written = []
    if len(accuracy):
        reference = next(key for key, role in roles.items() if role == "reference")
        drawn = drawn_accuracy(accuracy, table)
        written += save(run, "accuracy", draw_accuracy(drawn, reference, labels, paint, marks), drawn, vector=True)
    if compared:
        written += [*write_bayes(run, table, labels, paint, marks), *_write_directions(run, labels)]
    return written


def _write_directions(run: Run, labels: Mapping[str, str]) -> list[str]:
    drawn = {by: name_largest(table) for by, table in read_changes(run).items()}
    if not drawn:
        return []
    points = pd.concat([table.rename(columns={by: "name"}).assign(by=by) for by, table in drawn.items()])
    written = save(run, "directions", draw_directions(drawn, labels), points, vector=True)
    for by, table in drawn.items():
        written += save(run, f"{by}_changes", draw_changes(by, table, labels), table, vector=True)
    return written

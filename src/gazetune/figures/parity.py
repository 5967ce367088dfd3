"""What tuning costs, in pictures: the panels of the paper's Figure 4 from the tables of a run."""

import pandas as pd

from gazetune.figures.accuracy import draw_accuracy, drawn_accuracy
from gazetune.figures.bayes import write_bayes
from gazetune.figures.directions import draw_changes, draw_directions, name_largest
from gazetune.figures.palette import Look
from gazetune.figures.style import save
from gazetune.run import SUMMARY, Run
from gazetune.tables.changes import read_changes


def write_parity_figures(run: Run, reference: str, look: Look) -> list[str]:
    """`accuracy`, `bayes_factors`, `bayes_sensitivity`, `directions`, `corruption_changes` and `class_changes`.

    Each with its CSV in `figures/`, of every data set in the tables, whether it has fixations or not; none where its
    table is absent or empty. reference: its key.
    """
    summary = run.json(SUMMARY)
    accuracy = pd.DataFrame(summary.get("accuracy", []))
    compared = bool(summary.get("parity"))  # else a parity.csv that lies there is of other settings
    table = run.table("parity") if compared else pd.DataFrame()
    written = []
    if len(accuracy):
        drawn = drawn_accuracy(accuracy, table)
        written += save(run, "accuracy", draw_accuracy(drawn, reference, look), drawn, look.formats)
    if compared:
        written += [*write_bayes(run, table, look), *_write_directions(run, look)]
    return written


def _write_directions(run: Run, look: Look) -> list[str]:
    drawn = {by: name_largest(table) for by, table in read_changes(run).items()}
    if not drawn:
        return []
    points = pd.concat([table.rename(columns={by: "name"}).assign(by=by) for by, table in drawn.items()])
    written = save(run, "directions", draw_directions(drawn, look), points, look.formats)
    for by, table in drawn.items():
        written += save(run, f"{by}_changes", draw_changes(by, table, look), table, look.formats)
    return written

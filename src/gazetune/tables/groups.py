"""Groups of observers and conditions of images compared: `groups.csv` and `group_tests.csv` (`--by COLUMN`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pandas as pd

from gazetune.data.levels import Levels
from gazetune.progress import say
from gazetune.statistics.compare import describe
from gazetune.statistics.groups import welch_anova, welch_t
from gazetune.statistics.multiple import holm
from gazetune.statistics.paired import paired_test

WITHIN, INTERACTION = "within", "interaction"
ALL = "all levels"
Shared = Callable[[str, str, str], pd.DataFrame]  # metric, first, second -> a column for each of the two, by unit
TESTS = (
    "dataset", "by", "unit", "test", "level", "metric", "first", "second", "n", "mean_first", "mean_second",
    "difference", "ci_low", "ci_high", "t", "f", "df", "df2", "p", "d", "p_holm", "reason",
)  # fmt: skip


def compare_groups(
    dataset: str,
    by: str,
    levels: Levels,
    table: pd.DataFrame,
    metrics: Sequence[str],
    order: Sequence[str],
    models: Collection[str],
    shared: Shared | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means by level, and the tests of each pair of rows within levels and of the interaction of rows and levels.

    Args:
        dataset: its name. by: the column's name. levels: of its units.
        table: one row per unit and row of the tables: the unit's column (`image` or `observer`), key and metrics.
        metrics: the columns to test. order: the keys, reference first. models: pairs without any are left out.
        shared: the values to test of two rows, where a unit's value is a mean: over what both have. By default the
            table's own.

    Within a level: paired t over its units. Interaction: Welch's t between two levels' differences (df, p, d,
    interval), Welch's F where there are more. p_holm: over the metrics of one test, level and pair. reason: why a test
    is NaN, else empty. A level without a value has tests without n, and no means.
    """
    unit = levels.unit
    level = table[unit].map(levels.of)
    missing = table.loc[level.isna(), unit].nunique()
    if missing:
        say(f"warning: {missing} of {table[unit].nunique()} {unit}s of '{dataset}' have no '{by}' and are in no group")
    known = table.assign(level=level)[level.notna()]
    present = sorted(known["level"].unique())
    if len(present) < 2:
        say(f"warning: only {len(present)} level of '{by}' among the tested {unit}s of '{dataset}': no interaction")
    described = {str(name): describe(part, metrics, order) for name, part in known.groupby("level")}
    means = [part.assign(by=by, unit=unit, level=name) for name, part in described.items() if len(part)]
    groups = pd.concat(means, ignore_index=True) if means else pd.DataFrame(columns=["dataset"])
    first = [c for c in ("dataset", "by", "unit", "level") if c in groups]
    rows = _tested(known, unit, present, metrics, order, models, shared)
    tests = pd.DataFrame(rows).assign(dataset=dataset, by=by, unit=unit)
    if len(tests):
        groups_of_p = tests.groupby(["test", "level", "first", "second"])["p"]
        tests["p_holm"] = groups_of_p.transform(lambda p: pd.Series(holm(p), p.index))
    return groups[[*first, *(c for c in groups if c not in first)]], tests.reindex(columns=list(TESTS))


def _tested(
    known: pd.DataFrame,
    unit: str,
    levels: Sequence[str],
    metrics: Sequence[str],
    order: Sequence[str],
    models: Collection[str],
    shared: Shared | None,
) -> list[dict[str, str | float]]:
    level = known.drop_duplicates(unit).set_index(unit)["level"].sort_index()
    member = level.to_numpy()
    rows: list[dict[str, str | float]] = []
    for metric in metrics:
        wide = known.pivot(index=unit, columns="key", values=metric)
        present = [key for key in order if key in wide and wide[key].notna().any()]
        for second, first in combinations(present, 2):
            if first not in models and second not in models:
                continue
            named = {"metric": metric, "first": first, "second": second}
            both = shared(metric, first, second) if shared else wide
            a, b = (both[key].reindex(level.index).to_numpy() for key in (first, second))
            for name in levels:
                within = asdict(paired_test(a[member == name], b[member == name], unit=unit))
                rows.append({"test": WITHIN, "level": name, **named, **within})
            if len(levels) > 1:
                rows.append({"test": INTERACTION, **named, **_interaction(a - b, member, levels, unit)})
    return rows


def _interaction(gap: np.ndarray, member: np.ndarray, levels: Sequence[str], unit: str) -> Mapping[str, str | float]:
    """Does the difference of two rows differ between levels?"""
    parts = [gap[member == name] for name in levels]
    if len(levels) == 2:
        found = welch_t(parts[0], parts[1], unit=unit)
        numbers = {k: v for k, v in asdict(found).items() if not k.startswith("n_")}
        return {"level": f"{levels[0]} - {levels[1]}", "n": found.n_first + found.n_second, **numbers}
    anova = welch_anova(parts, unit)
    return {
        "level": ALL,
        "n": anova.n,
        "f": anova.f,
        "df": anova.df1,
        "df2": anova.df2,
        "p": anova.p,
        "reason": anova.reason,
    }

"""What a run says of its people: observers one by one, groups of them, conditions of the images they saw."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import pandas as pd

from gazetune.metrics.observers import OBSERVER_METRICS
from gazetune.prepared import levels_name, load_levels
from gazetune.run import Json, Run
from gazetune.tables.groups import compare_groups
from gazetune.tables.observers import load_pairs, observer_means, observer_tests, pairs_name
from gazetune.tables.rows import keyed, test_order


def write_people(
    run: Run, scored: Mapping[str, Collection[str]], roles: Mapping[str, str], metrics: Sequence[str]
) -> tuple[list[str], dict[str, Json]]:
    """observer_tests.csv, groups.csv and group_tests.csv of these data sets; their names, and what the summary says.

    scored: data set -> the files that its scoring wrote. roles: of each model, by key.
    """
    order, tables = test_order(roles), dict[str, list[pd.DataFrame]]()
    for name, files in scored.items():
        if pairs_name(name) in files:
            found = observer_tests(name, load_pairs(run, name), order, roles)
            tables.setdefault("observer_tests", []).append(found)
        if levels_name(name) in files:
            for kind, part in _groups(run, name, f"scores/{name}-observers.csv" in files, roles, metrics).items():
                tables.setdefault(kind, []).extend(part)
    whole = {kind: pd.concat(parts, ignore_index=True) for kind, parts in tables.items() if any(map(len, parts))}
    written = [run.write_table(kind, table) for kind, table in whole.items()]
    return written, {kind: table.to_dict("records") for kind, table in whole.items()}


def _groups(
    run: Run, name: str, with_observers: bool, roles: Mapping[str, str], metrics: Sequence[str]
) -> dict[str, list[pd.DataFrame]]:
    units = {"image": (keyed(run.table(f"scores/{name}")), list(metrics))}
    shared = {}
    if with_observers:
        chosen = [m for m in OBSERVER_METRICS if m in metrics]
        units["observer"] = (keyed(run.table(f"scores/{name}-observers")), chosen)
        shared["observer"] = partial(observer_means, load_pairs(run, name))
    found = [
        compare_groups(name, by, levels, *units[levels.unit], test_order(roles), roles, shared.get(levels.unit))
        for by, levels in load_levels(run, name).items()
        if levels.unit in units
    ]
    return {"groups": [groups for groups, _ in found], "group_tests": [tests for _, tests in found]}

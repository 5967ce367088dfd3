"""predictions.csv, accuracy.csv and the tables of parity: every model against the reference as a classifier."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from gazetune.parity.compare import HEAD, OWN, parity, parity_by
from gazetune.parity.predict import accuracy
from gazetune.parity.probe import RULE
from gazetune.run import Json, Run
from gazetune.statistics.agreement import MARGIN
from gazetune.tables.rows import keyed

OF_SET = ["dataset", HEAD]


def parity_tables(
    run: Run, scored: Mapping[str, Collection[str]], classified: Collection[str], roles: Mapping[str, str]
) -> tuple[dict[str, pd.DataFrame], dict[str, Json]]:
    """The tables by name, and what the summary says; both empty where nothing was classified.

    Args:
        scored: data sets with fixations -> the files of their scoring, which may have predictions. classified: labelled
            sets. roles: of each model, by key (see Experiment).
    """
    files = [f"scores/{name}-predictions" for name in scored if f"scores/{name}-predictions.csv" in scored[name]]
    tables = [run.table(file) for file in [*files, *(f"parity/{name}" for name in classified)]]
    about = {name: run.json(f"parity/{name}.json") for name in classified}
    if not tables:
        return {}, {}
    predictions = pd.concat(tables, ignore_index=True)
    said = keyed(predictions)
    reference = next(key for key, role in roles.items() if role == "reference")
    margins = {name: about[name]["margin"] / 100 if name in about else MARGIN for name in said["dataset"].unique()}
    parts: dict[str, pd.DataFrame] = {"predictions": predictions, "accuracy": _accuracies(said, about)}
    for name, by in (("parity", None), ("parity_classes", "label"), ("parity_corruptions", "corruption")):
        found = [_of(said[said["dataset"] == d], reference, margin, by) for d, margin in margins.items()]
        whole = pd.concat([table for table in found if len(table)] or [pd.DataFrame()], ignore_index=True)
        if len(whole):
            parts[name] = whole
    if "parity_classes" in parts:
        names = said.drop_duplicates(["dataset", "label"])[["dataset", "label", "class"]]
        parts["parity_classes"] = parts["parity_classes"].merge(names, on=["dataset", "label"], how="left")
    shown: dict[str, Json] = {
        name: parts[name].to_dict("records") for name in ("accuracy", "parity", "parity_corruptions") if name in parts
    }
    missing = [{"dataset": name, **line} for name, facts in about.items() for line in facts["not_run"]]
    return parts, {**shown, "classified": about, "parity_not_run": missing}


def _of(said: pd.DataFrame, reference: str, margin: float, by: str | None) -> pd.DataFrame:
    """The rows of one data set; none where the reference has not answered, or there is no such column."""
    known = said[said["correct"].notna()]
    if reference not in set(known["key"]) or (by is not None and (by not in said or said[by].isna().all())):
        return pd.DataFrame()
    return parity(known, reference, margin) if by is None else parity_by(known, reference, by, margin)


def _accuracies(said: pd.DataFrame, about: Mapping[str, Any]) -> pd.DataFrame:
    """One row a data set, head and model; over all corruptions where there are several."""
    rows = []
    for (dataset, head, key), part in said.groupby([*OF_SET, "key"], sort=False):
        facts = about.get(str(dataset), {})
        shown = facts.get("preprocessing", {}).get(key)
        if head != OWN and shown:
            shown += f"; linear head: {RULE} ({facts['folds']}, seed {facts['probe_seed']})"
        rows.append({"dataset": dataset, HEAD: head, "model": key, **accuracy(part), "preprocessing": shown})
    return pd.DataFrame(rows)

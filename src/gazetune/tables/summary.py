"""images.csv, tests.csv, summary.json and what goes with them: what was scored, put together and tested."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from gazetune.attention.extract import READY
from gazetune.metrics.baselines import share_of_ceiling
from gazetune.metrics.heads import gather_heads
from gazetune.parity.compare import parity, parity_by
from gazetune.parity.predict import accuracy
from gazetune.prepared import Prepared, load_prepared
from gazetune.run import SUMMARY, Json, Run
from gazetune.statistics.compare import compare, describe
from gazetune.tables.biases import gather_biases
from gazetune.tables.gain import consistency_summary, gain_summary, gain_tables
from gazetune.tables.methods import gather_methods, method_summary
from gazetune.tables.observers import describe_observers
from gazetune.tables.people import write_people
from gazetune.tables.rows import CEILING, PRIORS, ROWS, keyed, maps_folder, test_order
from gazetune.tables.seeds import seed_spread


def write_tables(
    run: Run,
    scored: Mapping[str, Collection[str]],
    roles: Mapping[str, str],
    metrics: Sequence[str],
    sizes: Collection[tuple[int, int]],
    about: Mapping[str, Json],
    heads: Collection[str] = (),
) -> list[str]:
    """images.csv, tests.csv, summary.json, and the tables of PARTS, tables.gain and tables.seeds, of these data sets.

    scored: data set -> the files that its scoring wrote. roles: of each model, by key (see Experiment). heads: the
    files with the scores of attention heads, for heads.csv.
    """
    scores = pd.concat([run.table(f"scores/{name}") for name in scored], ignore_index=True)
    tests = compare(keyed(scores), metrics, test_order(roles), models=roles)
    prepared = {name: load_prepared(run, name, sizes) for name in scored}
    states = {key: f"checkpoints/{key}/training.json" for key in roles}
    summary: dict[str, Json] = {
        **about,
        "datasets": {name: {**_dataset(data), "maps": _ready(run, name, roles)} for name, data in prepared.items()},
        "training": {key: run.json(name) for key, name in states.items() if run.file(name).is_file()},
        "alignment": _with_share(describe(keyed(scores), metrics, [*ROWS, *roles]), keyed(scores)).to_dict("records"),
        "tests": tests.to_dict("records"),
        "reasons": _reasons(keyed(scores)),
    }
    compared = [name for name, files in scored.items() if f"scores/{name}-methods.csv" in files]
    others, methods = gather_methods(run, compared, roles, metrics)
    images = pd.concat([scores, others], ignore_index=True) if len(others) else scores
    written = [run.write_table("images", images), run.write_table("tests", tests)]
    summary |= method_summary(methods)
    parts: dict[str, pd.DataFrame] = {}
    for kind in PARTS:
        files = [f"scores/{name}-{kind}" for name, files in scored.items() if f"scores/{name}-{kind}.csv" in files]
        if files:
            parts[kind] = pd.concat([run.table(file) for file in files], ignore_index=True)
            summary |= PARTS[kind](parts[kind])
    if "consistency" in parts:
        present = {name: data.categories for name, data in prepared.items()}
        gained = gain_tables(keyed(scores), parts["consistency"], present, roles)
        parts, summary = parts | gained, summary | gain_summary(gained)
    if "predictions" in parts:
        reference = next(key for key, role in roles.items() if role == "reference")
        parts |= _parity(keyed(parts["predictions"]), reference)
        summary["parity"] = parts["parity"].to_dict("records") if "parity" in parts else []
    spread = seed_spread(keyed(scores), metrics, roles)
    if len(spread):
        parts["seeds"], summary["seeds"] = spread, spread.to_dict("records")
    written += [run.write_table(name, table) for name, table in (parts | methods).items()]
    people, said = write_people(run, scored, roles, metrics)
    biases, found = gather_biases(run, [n for n, files in scored.items() if f"scores/{n}-contrasts.csv" in files])
    written += [*people, *biases, *gather_heads(run, heads)]
    return [*written, run.write_json(SUMMARY, summary | said | found)]


def _dataset(prepared: Prepared) -> dict[str, Json]:
    """How many images and fixations each split has, and how many were left out for what reason."""
    table = prepared.table
    used = {split: len(prepared.rows(split)) for split in ("train", "validation", "test")}
    why = table["reason"].fillna("").str.split(":", regex=False).str[0]
    outside = table["outside"].map(lambda n: f"{n} fixations outside the image, left out" if n else None)
    reasons = table[["image", "split"]].assign(reason=table["reason"].fillna(outside))
    return {
        "images": used,
        "fixations": int(table["fixations"].sum()),
        "fixations_outside_their_image": int(table["outside"].sum()),
        "images_with_a_reason": why[why != ""].value_counts().to_dict(),
        "reasons": reasons[reasons["reason"].notna()].to_dict("records"),
        "records_left_out": {reason: len(records) for reason, records in prepared.left_out.items()},
        "citation": prepared.citation,
    }


def _reasons(scores: pd.DataFrame) -> Json:
    """How many test images of each data set and row have a score missing, by reason (to its first colon)."""
    known = scores.dropna(subset=["reason"])
    why = known["reason"].str.split(":", regex=False).str[0]
    named = pd.DataFrame({"dataset": known["dataset"], "model": known["key"], "reason": why})
    return named.groupby(["dataset", "model", "reason"], sort=False).size().reset_index(name="n").to_dict("records")


def _ready(run: Run, name: str, keys: Collection[str]) -> dict[str, Json]:
    """Of the models that are ready-made maps: the sizes of their files, and why an image has none."""
    files = {key: f"{maps_folder(name, key)}/{READY}" for key in keys}
    return {key: run.json(file) for key, file in files.items() if run.file(file).is_file()}


def _with_share(means: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The means with `share_of_ceiling`: of the way from the centre prior to humans by halves, and `share_n`.

    Over the share_n images where the row, the prior and the humans all have a value.
    """
    found = means.assign(share_of_ceiling=float("nan"), share_n=0)
    for (dataset, metric), part in means.groupby(["dataset", "metric"], sort=False):
        wide = scores[scores["dataset"] == dataset].pivot(index="image", columns="key", values=metric)
        prior = next((row for row in PRIORS if row in set(part["model"])), None)
        if prior is None or CEILING not in set(part["model"]):
            continue
        for i, key in part["model"].items():
            row, low, high = wide[[key, prior, CEILING]].set_axis(list("abc"), axis=1).dropna().mean()
            found.loc[i, "share_of_ceiling"] = float(share_of_ceiling(row, low, high))
            found.loc[i, "share_n"] = int(wide[[key, prior, CEILING]].notna().all(axis=1).sum())
    return found


def _parity(predictions: pd.DataFrame, reference: str) -> dict[str, pd.DataFrame]:
    """parity and parity_classes: every model against the reference as a classifier; empty where it has not answered."""
    if reference not in set(predictions["key"]):
        return {}
    tables = {"parity": parity(predictions, reference), "parity_classes": parity_by(predictions, reference, "label")}
    return {name: table for name, table in tables.items() if len(table)}


def _accuracy(table: pd.DataFrame) -> dict[str, Json]:
    groups = keyed(table).groupby(["dataset", "key"], sort=False)
    return {"accuracy": [{"dataset": d, "model": key, **accuracy(part)} for (d, key), part in groups]}


def _observers(table: pd.DataFrame) -> dict[str, Json]:
    return {"observers": describe_observers(table).to_dict("records")}


# what the scoring of a data set may leave beside its scores: NAME.csv of the run, and what the summary says of it
PARTS: dict[str, Callable[[pd.DataFrame], dict[str, Json]]] = {
    "predictions": _accuracy,
    "consistency": consistency_summary,
    "observers": _observers,
}

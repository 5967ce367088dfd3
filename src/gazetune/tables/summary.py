"""images.csv, tests.csv, summary.json and what goes with them: what was scored, put together and tested."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from gazetune.attention.extract import READY
from gazetune.data.splits import BOTH
from gazetune.metrics.baselines import share_of_ceiling
from gazetune.metrics.heads import gather_heads
from gazetune.prepared import Prepared, load_prepared
from gazetune.run import SUMMARY, Json, Run
from gazetune.statistics.compare import compare, describe
from gazetune.tables.biases import gather_biases
from gazetune.tables.gain import consistency_summary, gain_summary, gain_tables
from gazetune.tables.methods import gather_methods, method_summary
from gazetune.tables.observers import describe_observers
from gazetune.tables.parity import parity_tables
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
    classified: Collection[str] = (),
    without: Mapping[str, str] | None = None,
) -> list[str]:
    """images.csv, tests.csv, summary.json, and the tables of PARTS, tables.gain and tables.seeds, of these data sets.

    scored: data set -> the files that its scoring wrote. roles: of each model, by key (see Experiment). heads: the
    files with the scores of attention heads, for heads.csv. classified: labelled sets that were classified;
    without: why others were not, by name.
    """
    states = {key: f"checkpoints/{key}/training.json" for key in roles}
    training = {key: run.json(name) for key, name in states.items() if run.file(name).is_file()}
    summary: dict[str, Json] = {**about, "datasets": {}, "training": training}
    parts, said = parity_tables(run, scored, classified, roles)
    absent = [{"dataset": name, "model": "all models", "reason": why} for name, why in (without or {}).items()]
    if absent:
        said["parity_not_run"] = [*said.get("parity_not_run", []), *absent]
    written = [run.write_table(name, table) for name, table in parts.items()]
    if scored:
        tables, found = _alignment(run, scored, roles, metrics, sizes)
        written, summary = written + tables, summary | found
        people, found = write_people(run, scored, roles, metrics)
        biases, shown = gather_biases(run, [n for n, files in scored.items() if f"scores/{n}-contrasts.csv" in files])
        written, said = [*written, *people, *biases, *gather_heads(run, heads)], said | found | shown
    return [*written, run.write_json(SUMMARY, summary | said)]


def _alignment(
    run: Run,
    scored: Mapping[str, Collection[str]],
    roles: Mapping[str, str],
    metrics: Sequence[str],
    sizes: Collection[tuple[int, int]],
) -> tuple[list[str], dict[str, Json]]:
    """The tables of how well models agree with people, written, and what the summary says of them."""
    scores = pd.concat([run.table(f"scores/{name}") for name in scored], ignore_index=True)
    tests = compare(keyed(scores), metrics, test_order(roles), models=roles)
    prepared = {name: load_prepared(run, name, sizes) for name in scored}
    summary: dict[str, Json] = {
        "datasets": {name: {**_dataset(data), "maps": _ready(run, name, roles)} for name, data in prepared.items()},
        "alignment": _with_share(describe(keyed(scores), metrics, [*ROWS, *roles]), keyed(scores)).to_dict("records"),
        "tests": tests.to_dict("records"),
        "reasons": _reasons(keyed(scores)),
    }
    compared = [name for name, files in scored.items() if f"scores/{name}-methods.csv" in files]
    others, methods = gather_methods(run, compared, roles, metrics)
    images = pd.concat([scores, others], ignore_index=True) if len(others) else scores
    summary |= method_summary(methods)
    parts: dict[str, pd.DataFrame] = {"images": images, "tests": tests, **methods}
    for kind in PARTS:
        files = [f"scores/{name}-{kind}" for name, files in scored.items() if f"scores/{name}-{kind}.csv" in files]
        if files:
            parts[kind] = pd.concat([run.table(file) for file in files], ignore_index=True)
            summary |= PARTS[kind](parts[kind])
    if "consistency" in parts:
        present = {name: data.categories for name, data in prepared.items()}
        gained = gain_tables(keyed(scores), parts["consistency"], present, roles)
        parts, summary = parts | gained, summary | gain_summary(gained)
    spread = seed_spread(keyed(scores), metrics, roles)
    if len(spread):
        parts["seeds"], summary["seeds"] = spread, spread.to_dict("records")
    return [run.write_table(name, table) for name, table in parts.items()], summary


def _dataset(prepared: Prepared) -> dict[str, Json]:
    """How many images and fixations each split has, and how many were left out for what reason."""
    table = prepared.table
    used = {split: len(prepared.rows(split)) for split in ("train", "validation", "test")}
    why = table["reason"].fillna("").str.split(":", regex=False).str[0]
    outside = table["outside"].map(lambda n: f"{n} fixations outside the image, left out" if n else None)
    reasons = table[["image", "split"]].assign(reason=table["reason"].fillna(outside))
    return {
        "images": used,
        "tested_and_stopped_on": int((table["split"] == BOTH).sum()),
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


def _observers(table: pd.DataFrame) -> dict[str, Json]:
    return {"observers": describe_observers(table).to_dict("records")}


# what the scoring of a data set may leave beside its scores: NAME.csv of the run, and what the summary says of it
PARTS: dict[str, Callable[[pd.DataFrame], dict[str, Json]]] = {
    "consistency": consistency_summary,
    "observers": _observers,
}

"""The rows of the parity tables that are shown: which of them is read, what it is called, which way accuracy went."""

import pandas as pd

from gazetune.parity.compare import IMAGE, OWN
from gazetune.run import Run

HEADS = {OWN: "own head", "probe": "probe of the reference", "refitted": "probe fitted to each model"}
PAIR = ["dataset", "head", "first", "second"]
BETTER, WORSE, TIE = "better", "worse", "tie"
EQUAL = 1e-9  # a difference of accuracies this small is rounding
CORRUPTION, CLASS = "corruption", "class"
TABLES = {CORRUPTION: "parity_corruptions", CLASS: "parity_classes"}  # a table of parity_by each
SHARES = ["accuracy_first", "accuracy_second", "difference", "ci_low", "ci_high", "p_holm"]
NUMBERS = ["unit", "n", *SHARES]


def with_head(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `head`, the model's own where it says nothing else, and keys as text (one may be 1)."""
    texts = {c: table[c].astype(str) for c in ("first", "second", "model") if c in table}
    return table.assign(head=table["head"].fillna(OWN) if "head" in table else OWN, **texts)


def head_name(head: str) -> str:
    """What a classification head is called."""
    return HEADS.get(head, head)


def to_read(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    """The rows of `parity` that are read: those over images where there are any, for predictions share their image.

    by: columns beside data set, head and pair that tell results apart.
    """
    table = with_head(table)
    if table.empty:
        return table
    over_images = table.groupby([*PAIR, *by], dropna=False)["unit"].transform(lambda units: (units == IMAGE).any())
    return table[~over_images | (table["unit"] == IMAGE)]


def read_changes(run: Run) -> dict[str, pd.DataFrame]:
    """`changes` by corruption and by class of a run, of those that it has."""
    tables = {by: run.table(name) for by, name in TABLES.items() if run.file(f"{name}.csv").is_file()}
    return {by: found for by, table in tables.items() if len(found := changes(table, by))}


def changes(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row a corruption or class of each pair, largest gain first: PAIR, `by`, NUMBERS and `direction`.

    Args:
        table: of `parity_by`. by: CORRUPTION or CLASS; a class is called by its number where it has no name or shares
            it (two classes of ImageNet are called "crane").
    """
    value = "label" if by == CLASS else by
    read = to_read(table, value)
    if read.empty:
        return pd.DataFrame(columns=[*PAIR, by, *NUMBERS, "direction"])
    read = read.assign(**{by: _class_names(read) if by == CLASS else read[by].astype(str)})
    read = read.reindex(columns=[*PAIR, by, *NUMBERS]).astype(dict.fromkeys(SHARES, float))
    order = read.assign(largest=-read["difference"].round(9), place=read.groupby(PAIR, sort=False).ngroup())
    read = order.sort_values(["place", "largest", by], kind="stable", ignore_index=True)[[*PAIR, by, *NUMBERS]]
    return read.assign(direction=read["difference"].map(direction))


def direction(difference: float) -> str:
    """Which way the accuracy went."""
    return TIE if abs(difference) < EQUAL else BETTER if difference > 0 else WORSE


def counted(directions: pd.Series) -> str:
    """How many went which way, in words."""
    n = directions.value_counts()
    parts = ((BETTER, "gain"), (WORSE, "loss"), (TIE, "tie"))
    return ", ".join(f"{(k := int(n.get(d, 0)))} {word if k == 1 else _plural(word)}" for d, word in parts)


def _plural(word: str) -> str:
    return word + ("es" if word.endswith("s") else "s")


def _class_names(read: pd.DataFrame) -> pd.Series:
    number = read["label"].astype(str)
    if CLASS not in read:
        return number
    name = read[CLASS].astype("string").fillna(number).astype(str)
    shared = read.assign(name=name).groupby([*PAIR, "name"])["label"].transform("nunique") > 1
    return name.where(~shared, name + " (" + number + ")")

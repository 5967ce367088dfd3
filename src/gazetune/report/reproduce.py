"""Every number of the paper beside the run's own: reproduce.csv, reproduce.html, the terminal."""

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import PurePath
from typing import Any

import jinja2
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from gazetune.report.found import Ours, find
from gazetune.report.published import Published, published
from gazetune.report.subject import Subject
from gazetune.report.verdict import WORDS, differences, verdict
from gazetune.report.words import Shown

FILES = ("reproduce.csv", "reproduce.html")
COLUMNS = (
    "id", "about", "unit", "place", "text", "arm", "judge", "printed", "paper", "paper_low", "paper_high",
    "paper_interval", "paper_n", "ours", "ours_low", "ours_high", "ours_n", "dataset", "row", "other", "verdict",
    "reason",
)  # fmt: skip


def beside(subject: Subject) -> pd.DataFrame:
    """One row for each number of the paper, with the run's own, the verdict and its reason (columns: COLUMNS).

    paper and ours are in the paper's unit; low and high are 95 % intervals, empty where there is none. printed: the
    paper's number, with its sign where it is a bound. paper_interval: of sampling, or of rounding alone, where the
    paper tells no spread. text: the paper's literal words. row: where the number stands in the run. other: what makes
    it another than the paper's.
    """
    rows = [_row(number, find(subject, number)) for number in published()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"paper_n": "Int64", "ours_n": "Int64"})


def _kind(theirs: Published) -> str | None:
    """What an interval of the paper's says: of sampling, or of rounding alone, where no spread is printed."""
    return None if theirs.interval is None else "sampling" if theirs.spread else "rounding"


def _row(theirs: Published, ours: Ours | str) -> dict[str, Any]:
    word, reason = verdict(theirs, ours)
    low, high = theirs.interval or (None, None)
    row = {
        **{name: getattr(theirs, name) for name in ("id", "about", "unit", "place", "text", "arm", "judge")},
        **{"printed": theirs.shown, "paper_interval": _kind(theirs)},
        **{"paper": theirs.value, "paper_low": low, "paper_high": high, "paper_n": theirs.n},
        **{"verdict": word, "reason": reason},
    }
    if isinstance(ours, str):
        return row
    low, high = ours.interval or (None, None)
    found = {"ours": ours.value, "ours_low": low, "ours_high": high, "ours_n": ours.n}
    return {**row, **found, "dataset": ours.dataset, "row": ours.row, "other": "; ".join(differences(theirs, ours))}


def write_reproduction(subject: Subject, table: pd.DataFrame) -> list[str]:
    """reproduce.csv and reproduce.html in the run's directory."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((resources.files("gazetune") / "report" / "reproduce.html").read_text("utf-8"))
    page = template.render(
        title=f"{subject.run.summary['experiment']}: the paper's numbers and the run's",
        counts=counts(table),
        about=about(subject),
        other="; ".join(in_other_ways(table)),
        groups=list(_groups(table)),
    )
    return [subject.run.write_table("reproduce", table), subject.run.write("reproduce.html", page)]


def counts(table: pd.DataFrame) -> str:
    """How many numbers have which verdict, in words: results, and the settings and constants apart."""
    settings = table["judge"] == "setting"
    parts = [
        f"{len(part)} {name}: " + ", ".join(f"{n} {word}" for word in WORDS if (n := (part["verdict"] == word).sum()))
        for name, part in (("results", table[~settings]), ("settings and constants", table[settings]))
    ]
    return "; ".join(parts)


def about(subject: Subject) -> str:
    """Which models stand for the paper's, in words."""
    names = {"A": "start", "B": "tuned model", "C": "shuffled control"}
    stand = ", ".join(f"{name}: {subject.key(letter) or 'none'}" for letter, name in names.items())
    tuned = [key for key, role in subject.roles.items() if role == "tuned"]
    start = PurePath(subject.start).name if subject.start.startswith("/") else subject.start  # the page may be shared
    others = f" Other tuned models ({', '.join(tuned[1:])}) are not compared." if len(tuned) > 1 else ""
    return f"{stand[0].upper()}{stand[1:]}; start weights: {start}.{others}"


def in_other_ways(table: pd.DataFrame) -> list[str]:
    """Everything that makes numbers of the run others than the paper's, each once."""
    return list(dict.fromkeys(part for text in table["other"].dropna() for part in text.split("; ") if part))


def compact(table: pd.DataFrame) -> Shown:
    """The results that can be compared, as one table; settings and what was not run are left out."""
    shown = table[~table["verdict"].isin(["not compared", "not run"]) & (table["judge"] != "setting")]
    rows = [
        (
            *(row["about"], row["id"].split(".", 1)[1], _printed(row), _count(row["paper_n"])),
            *(_cell(row, "ours"), _count(row["ours_n"]), row["verdict"], row["reason"]),
        )
        for row in _records(shown)
    ]
    head = ("about", "number", "paper", "n", "ours", "n", "verdict", "why")
    return Shown("In brackets: 95 % intervals. The rule: docs/reproduce.md.", head, rows)


def print_reproduction(subject: Subject, table: pd.DataFrame, console: Console) -> None:
    """The table in the terminal: results that can be compared row by row, what cannot by its reason."""
    title = f"{about(subject)} In brackets: 95 % intervals."
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("number", overflow="fold", min_width=int(table["id"].str.len().max()))
    for name in ("paper", "ours", "n", "verdict", "why"):
        shown.add_column(name, overflow="fold")
    settings = table["judge"] == "setting"
    apart = table["verdict"].isin(["not compared", "not run"])
    for row in _records(table[~apart & ~settings]):
        cells = (_printed(row), _cell(row, "ours"), _count(row["ours_n"]))
        shown.add_row(row["id"], *cells, row["verdict"], row["reason"])
    console.print(shown)
    for row in _records(table[settings & (table["verdict"] == "differs")]):
        console.print(f"setting {row['id']}: {row['ours']:g}, not {row['paper']:g}")
    for (word, reason), part in table[apart].groupby(["verdict", "reason"], sort=False):
        names = ", ".join(dict.fromkeys(i.split(".")[0] for i in part["id"]))
        console.print(f"{word}, {len(part)}: {reason} ({names})")
    other = in_other_ways(table)
    if other:
        console.print(f"not the paper's: {'; '.join(other)}")
    console.print(counts(table))
    console.print(f"all rows: {subject.run.file('reproduce.csv')} and reproduce.html", soft_wrap=True)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, with None for what is empty."""
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict("records")]


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    """The rows of each group of numbers, as cells, with what they are about and their place in the paper."""
    for name, part in table.groupby(["about", "place"], sort=False):
        cells: list[tuple[str, ...]] = [
            (
                *(row["id"].split(".", 1)[1], row["unit"], row["text"], _printed(row), _count(row["paper_n"])),
                *(_cell(row, "ours"), _count(row["ours_n"]), row["verdict"], row["reason"]),
            )
            for row in _records(part)
        ]
        yield str(name[0]), str(name[1]), cells


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _cell(row: Mapping[str, Any], whose: str) -> str:
    """A value with its interval."""
    if row[whose] is None:
        return "–"
    low, high = row[f"{whose}_low"], row[f"{whose}_high"]
    shown = _digits(row[whose])
    alone = ", rounding" if whose == "paper" and row["paper_interval"] == "rounding" else ""
    return shown + ("" if low is None else f" [{_digits(low)}, {_digits(high)}{alone}]")


def _printed(row: Mapping[str, Any]) -> str:
    """The paper's number as it is printed, a bound with its sign, and its interval."""
    return f"{row['printed']}{_cell(row, 'paper').removeprefix(_digits(row['paper']))}"


def _digits(value: float) -> str:
    """Four digits, or a whole number whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 and value == round(value) else f"{value:.4g}"

"""Every number of the paper beside the run's own: reproduce.csv, reproduce.html, the terminal, and `--check`."""

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from rich import box
from rich.console import Console
from rich.table import Table

from gazetune.documents import read_yaml, short
from gazetune.errors import InputError
from gazetune.report.found import Ours, Subject, find
from gazetune.report.published import Published, published
from gazetune.report.verdict import WORDS, differences, verdict
from gazetune.report.words import Shown

FILES = ("reproduce.csv", "reproduce.html")
COLUMNS = (
    "id", "about", "unit", "place", "text", "arm", "judge", "paper", "paper_low", "paper_high", "paper_n", "ours",
    "ours_low", "ours_high", "ours_n", "dataset", "row", "other", "verdict", "reason",
)  # fmt: skip


class Tolerance(BaseModel):
    """How far a value of the run may lie from `value` (by default the paper's): abs, or rel times that value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None = None
    abs: float | None = None
    rel: float | None = None

    @model_validator(mode="after")
    def _says_how_far(self) -> "Tolerance":
        given = [x for x in (self.abs, self.rel) if x is not None]
        if len(given) != 1 or given[0] < 0:
            raise ValueError("needs abs or rel, one of them, not negative")
        return self


def beside(subject: Subject) -> pd.DataFrame:
    """One row for each number of the paper, with the run's own, the verdict and its reason (columns: COLUMNS).

    paper and ours are in the paper's unit; low and high are 95 % intervals, empty where there is none. text: the
    paper's literal words. row: where the number stands in the run. other: what makes it another than the paper's.
    """
    rows = [_row(number, find(subject, number)) for number in published()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"paper_n": "Int64", "ours_n": "Int64"})


def _row(theirs: Published, ours: Ours | str) -> dict[str, Any]:
    word, reason = verdict(theirs, ours)
    low, high = theirs.interval or (None, None)
    row = {
        **{name: getattr(theirs, name) for name in ("id", "about", "unit", "place", "text", "arm", "judge")},
        **{"paper": theirs.value, "paper_low": low, "paper_high": high, "paper_n": theirs.n},
        **{"verdict": word, "reason": reason},
    }
    if isinstance(ours, str):
        return row
    low, high = ours.interval or (None, None)
    found = {"ours": ours.value, "ours_low": low, "ours_high": high, "ours_n": ours.n}
    return {**row, **found, "dataset": ours.dataset, "row": ours.row, "other": "; ".join(differences(theirs, ours))}


def tolerances(path: str | Path) -> dict[str, Tolerance]:
    """A tolerance file: YAML, id of a number -> {value, abs or rel}. Raises InputError naming what is wrong."""
    file, known = Path(path).expanduser(), {number.id for number in published()}
    said = read_yaml(file)
    if not isinstance(said, dict) or not said:
        raise InputError(f"'{file}' must say for each number how far it may be off, as in cc.mean: {{abs: 0.01}}.")
    unknown = [str(name) for name in said if name not in known]
    if unknown:
        raise InputError(f"'{file}': the paper has no number '{short(unknown[0])}'. The ids stand in reproduce.csv.")
    try:
        return {name: Tolerance.model_validate(value) for name, value in said.items()}
    except ValidationError as wrong:
        error = wrong.errors()[0]
        what = error["msg"].removeprefix("Value error, ")
        raise InputError(f"'{file}': {what}; got {short(error['input'])}") from None


def missed(table: pd.DataFrame, allowed: Mapping[str, Tolerance]) -> list[str]:
    """A sentence for each value that is not there or further off than its tolerance allows."""
    rows, found = {row["id"]: row for row in _records(table)}, []
    for name, tolerance in allowed.items():
        row = rows[name]
        aim = row["paper"] if tolerance.value is None else tolerance.value
        room = tolerance.abs if tolerance.abs is not None else (tolerance.rel or 0.0) * abs(aim)
        if row["ours"] is None:
            found.append(f"{name}: not run ({row['reason']})")
        elif not abs(row["ours"] - aim) <= room * (1 + 1e-12):
            found.append(f"{name}: {row['ours']:.6g}, needed {aim:.6g} within {room:.3g}")
    return found


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, with None for what is empty."""
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict("records")]


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
    others = f" Other tuned models ({', '.join(tuned[1:])}) are not compared." if len(tuned) > 1 else ""
    return f"{stand[0].upper()}{stand[1:]}; start weights: {subject.start}.{others}"


def in_other_ways(table: pd.DataFrame) -> list[str]:
    """Everything that makes numbers of the run others than the paper's, each once."""
    return list(dict.fromkeys(part for text in table["other"].dropna() for part in text.split("; ") if part))


def compact(table: pd.DataFrame) -> Shown:
    """The results that can be compared, as one table; settings and what was not run are left out."""
    shown = table[(table["verdict"] != "not run") & (table["judge"] != "setting")]
    rows = [
        (
            *(row["about"], row["id"].split(".", 1)[1], _claim(row) + _cell(row, "paper"), _count(row["paper_n"])),
            *(_cell(row, "ours"), _count(row["ours_n"]), row["verdict"], row["reason"]),
        )
        for row in _records(shown)
    ]
    head = ("about", "number", "paper", "n", "ours", "n", "verdict", "why")
    return Shown("In brackets: 95 % intervals. The rule: docs/reproduce.md.", head, rows)


def _claim(row: Mapping[str, Any]) -> str:
    """The sign before a number of the paper that is a bound, not a value."""
    return {"above": "> ", "below": "< ", "at_least": "≥ ", "within": "± ", "p": "< "}.get(row["judge"], "")


def print_reproduction(subject: Subject, table: pd.DataFrame, console: Console) -> None:
    """The table in the terminal: results that can be compared row by row, what cannot by its reason."""
    title = f"{about(subject)} In brackets: 95 % intervals."
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("number", "paper", "ours", "n", "verdict", "why"):
        shown.add_column(name, overflow="fold")
    settings = table["judge"] == "setting"
    for row in _records(table[(table["verdict"] != "not run") & ~settings]):
        cells = (_cell(row, "paper"), _cell(row, "ours"), _count(row["ours_n"]))
        shown.add_row(row["id"], *cells, row["verdict"], row["reason"])
    console.print(shown)
    for row in _records(table[settings & (table["verdict"] == "differs")]):
        console.print(f"setting {row['id']}: {row['ours']:g}, not {row['paper']:g}")
    for reason, part in table[table["verdict"] == "not run"].groupby("reason", sort=False):
        names = ", ".join(dict.fromkeys(i.split(".")[0] for i in part["id"]))
        console.print(f"not run, {len(part)}: {reason} ({names})")
    other = in_other_ways(table)
    if other:
        console.print(f"not the paper's: {'; '.join(other)}")
    console.print(counts(table))
    console.print(f"all rows: {subject.run.file('reproduce.csv')} and reproduce.html", soft_wrap=True)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    """The rows of each group of numbers, as cells, with what they are about and their place in the paper."""
    for name, part in table.groupby(["about", "place"], sort=False):
        cells: list[tuple[str, ...]] = [
            (
                *(row["id"].split(".", 1)[1], row["unit"], row["text"], _cell(row, "paper"), _count(row["paper_n"])),
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
    return f"{row[whose]:.5g}" + ("" if low is None else f" [{low:.4g}, {high:.4g}]")

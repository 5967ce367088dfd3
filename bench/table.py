"""The rows of the bench suite as one table, and its place in a document."""

import math
from collections.abc import Sequence
from pathlib import Path

from rows import Row

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
HEADER = ("item", "against", "ratio (quartiles)", "n", "ours", "theirs", "bound", "holds")
DIGITS, MOST_DIGITS = 3, 9


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table whose columns are as wide as their longest cell."""
    lines = [HEADER, *(_cells(row) for row in rows)]
    width = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    lines.insert(1, tuple("-" * w for w in width))
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, width, strict=True)) + " |" for line in lines)


def number(value: float, digits: int = DIGITS) -> str:
    """A number to so many digits; an empty cell for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def placed(document: str, text: str) -> str:
    """The document with `text` between its two markers; raises ValueError where it does not have each of them once."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"needs the line '{BEGIN}' and after it the line '{END}', each once")
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def write_into(path: Path, text: str) -> None:
    """Rewrite what is between the markers of a file."""
    path.write_text(placed(path.read_text(), text))


def _cells(row: Row) -> tuple[str, ...]:
    alone = math.isnan(row.theirs)
    unit = f" {row.unit}" if row.unit and not math.isnan(row.ours) else ""
    quartiles = f" ({number(row.low)} to {number(row.high)})" if row.n > 1 else ""
    verdict = {True: "yes", False: "no, known" if row.aim else "**no**", None: ""}[row.holds]
    value = _beside_its_bound(row) + (unit if alone else "") + quartiles
    theirs = "" if alone else number(row.theirs) + unit
    cells = (row.item, row.against, value, str(row.n), number(row.ours) + unit, theirs, _bound(row), verdict)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _bound(row: Row) -> str:
    aim = "aim: " if row.aim else ""
    bounds = ((f"{aim}at least", row.at_least), (f"{aim}at most", row.at_most))
    unit = f" {row.unit}" if row.unit and math.isnan(row.theirs) else ""  # a ratio has none
    return ", ".join(f"{word} {value:g}{unit}" for word, value in bounds if value is not None)


def _beside_its_bound(row: Row) -> str:
    """The value with as many digits as it takes to lie on its own side of its bounds (.9996 is not 1)."""
    for digits in range(DIGITS, MOST_DIGITS):
        text = number(row.value, digits)
        shown = float(text.replace(",", "") or "nan")
        sides = [(shown >= b) == (row.value >= b) and (shown <= b) == (row.value <= b) for b in _bounds(row)]
        if all(sides):
            break
    return text


def _bounds(row: Row) -> list[float]:
    return [bound for bound in (row.at_least, row.at_most) if bound is not None]

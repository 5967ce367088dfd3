"""How far a run's value may lie from the paper's, or from one of the user's own: `reproduce --check`."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gazetune.documents import read_yaml, short
from gazetune.errors import InputError
from gazetune.report.published import published


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


def tolerances(path: str | Path) -> dict[str, Tolerance]:
    """A tolerance file: YAML, id of a number -> {value, abs or rel}.

    Raises InputError naming what is wrong; also where a value lies near a bound of the paper's, such as "> 0": a bound
    is no value that one can be near, so it needs a value of one's own.
    """
    file, known = Path(path).expanduser(), {number.id: number for number in published()}
    said = read_yaml(file)
    if not isinstance(said, dict) or not said:
        raise InputError(f"'{file}' must say for each number how far it may be off, as in cc.mean: {{abs: 0.01}}.")
    unknown = [str(name) for name in said if name not in known]
    if unknown:
        raise InputError(f"'{file}': the paper has no number '{short(unknown[0])}'. The ids stand in reproduce.csv.")
    found = {}
    for name, value in said.items():
        if not isinstance(value, dict):
            raise InputError(
                f"'{file}': write {name}: {{abs: {short(value)}}} or {{rel: ...}}; got {name}: {short(value)}."
            )
        try:
            found[name] = Tolerance.model_validate(value)
        except ValidationError as wrong:
            error = wrong.errors()[0]
            said_wrong = error["msg"].removeprefix("Value error, ")
            raise InputError(f"'{file}', {name}: {said_wrong}; got {short(error['input'])}") from None
        if known[name].bound and found[name].value is None:
            raise InputError(
                f"'{file}': of {name} the paper says no value but a bound, {known[name].shown}. Say which value it is "
                f"to lie near, as in {name}: {{value: 0.375, rel: 0.05}} or {{value: 0.375, abs: 0.02}}."
            )
    return found


def missed(table: pd.DataFrame, allowed: Mapping[str, Tolerance]) -> list[str]:
    """A sentence for each value that is not there or further off than its tolerance allows."""
    rows = table.set_index("id")
    found: list[str] = []
    for name, tolerance in allowed.items():
        row = rows.loc[name]
        aim = row["paper"] if tolerance.value is None else tolerance.value
        room = tolerance.abs if tolerance.abs is not None else (tolerance.rel or 0.0) * abs(aim)
        if pd.isna(row["ours"]):
            found.append(f"{name}: not run ({row['reason']})")
        elif not abs(row["ours"] - aim) <= room * (1 + 1e-12):
            found.append(f"{name}: {row['ours']:.6g}, needed {aim:.6g} within {room:.3g}")
    return found

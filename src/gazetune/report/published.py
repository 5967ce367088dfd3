"""What the paper prints: each number of `paper_values.yaml` with its unit, n, place, and the interval it stands for."""

import math
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict
from scipy import stats

Judge = Literal[
    "effect", "level", "count", "setting", "p", "no_effect", "evidence", "above", "below", "every", "within"
]
# claims in which the printed number is a bound -> how such a claim is written; of `every`: 100 %
BOUNDS: dict[Judge, str] = {"above": "> {}", "below": "< {}", "p": "< {}", "within": "< {}", "every": "all: {}"}
# what a column of a table is compared by, unless the number says otherwise
JUDGES: dict[str, Judge] = {
    "difference": "effect", "t": "effect", "d": "effect", "r": "effect", "mean": "level", "accuracy_first": "level",
    "accuracy_second": "level", "p": "p", "df": "count",
}  # fmt: skip
Z95 = 1.959964
Interval = tuple[float, float]
MaybeInt = Annotated[int | None, BeforeValidator(lambda value: None if value == "none" else value)]


class Published(BaseModel):
    """One number of the paper, and where the same number stands in a run.

    printed: as the paper prints it, in `unit`. judge: how it is compared (see docs/reproduce.md). null: the value that
    means no effect. scale: from the run's unit to the paper's. n, sd, t, d: what the paper says of its spread.
    within: half the width of the printed value where that is not half a unit of its last digit. table, where, column:
    the run's. test_images: how many test images a count needs. needs: `data` and `weights` must be the paper's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    about: str
    printed: str
    unit: str
    text: str
    place: str
    arm: Literal["vit", "cnn", "people"]
    table: str
    column: str
    where: dict[str, str] = {}
    judge: Judge
    dataset: str | None = None
    needs: Literal["data", "weights"] = "data"
    null: float = 0.0
    scale: float = 1.0
    n: MaybeInt = None
    test_images: int | None = None
    sd: float | None = None
    t: float | None = None
    d: float | None = None
    within: float | None = None

    @property
    def value(self) -> float:
        """The number itself."""
        return float(self.printed)

    @property
    def bound(self) -> bool:
        """Whether the paper prints no value here but a bound that it lies beyond."""
        return self.judge in BOUNDS

    @property
    def shown(self) -> str:
        """The number as the paper means it: a bound with its sign, such as > 0 or < 0.001."""
        return BOUNDS.get(self.judge, "{}").format(self.printed)

    @property
    def spread(self) -> bool:
        """Whether the interval says something of sampling; else the paper prints none, and it is rounding alone."""
        low, high = self._sampling() if self.interval is not None else (self.value, self.value)
        return high > low

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit: the number may have been this much more or less."""
        exponent = Decimal(self.printed).as_tuple().exponent
        return self.within if self.within is not None else 0.5 * 10.0 ** int(exponent)

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of an effect or a level, from what is printed beside it, widened by the rounding.

        Means: t interval from SD and n. Differences: from their t, or from d sqrt(n). t and d: see `d_error`. r:
        Fisher's z. Shares: the normal approximation. Where the paper prints no spread, the rounding alone.
        """
        if self.judge not in ("effect", "level"):
            return None
        low, high = self._sampling()
        return low - self.rounding, high + self.rounding

    def _sampling(self) -> Interval:
        x, n = self.value, self.n
        if n is None:
            return x, x
        if self.column in ("t", "d"):
            size = x / math.sqrt(n) if self.column == "t" else x
            half = Z95 * d_error(size, n) * (math.sqrt(n) if self.column == "t" else 1)
            return x - half, x + half
        if self.column == "r":
            half = Z95 / math.sqrt(n - 3)
            return math.tanh(math.atanh(x) - half), math.tanh(math.atanh(x) + half)
        if self.column in ("share", "accuracy_first", "accuracy_second"):
            share = x / self.scale
            half = Z95 * math.sqrt(share * (1 - share) / n) * self.scale
            return x - half, x + half
        error = self._error(n)
        half = 0.0 if error is None else float(stats.t.ppf(0.975, n - 1)) * error
        return x - half, x + half

    def _error(self, n: int) -> float | None:
        """The standard error, where what is printed tells it."""
        if self.sd is not None:
            return self.sd / math.sqrt(n)
        t = self.t if self.t is not None else None if self.d is None else self.d * math.sqrt(n)
        return None if t is None else abs(self.value / t)


def d_error(d: float, n: int) -> float:
    """The standard error of a paired Cohen's d, sqrt(1/n + d^2/(2n)) (Borenstein et al., 2009, ch. 4, r = .5)."""
    return math.sqrt(1 / n + d * d / (2 * n))


@cache
def published() -> tuple[Published, ...]:
    """Every number of paper_values.yaml, in the paper's order; the id is that of the group and of the number."""
    text = (resources.files("gazetune") / "report" / "paper_values.yaml").read_text("utf-8")
    return tuple(
        _number(group, number) for group in yaml.load(text, Loader=yaml.BaseLoader) for number in group["numbers"]
    )


def _number(group: dict[str, Any], number: dict[str, Any]) -> Published:
    """A number with what its group says of all of them."""
    common = {key: value for key, value in group.items() if key not in ("id", "numbers")}
    own = {key: value for key, value in number.items() if key not in ("id", "value")}
    judge = {"judge": JUDGES[own["column"]]} if own["column"] in JUDGES else {}
    names = {"id": f"{group['id']}.{number['id']}", "printed": number["value"]}
    return Published.model_validate({**judge, **common, **own, **names})

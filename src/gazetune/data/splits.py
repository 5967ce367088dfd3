"""Which images train, validate and test: fixed rules, named in the YAML, never random per run."""

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, Field

from gazetune.data.stimuli import Stimuli
from gazetune.errors import InputError

SplitName = Literal["train", "validation", "test"]
NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
BOTH: Literal["validation+test"] = "validation+test"  # an image that early stopping sees and that is tested
Part = Literal["train", "validation", "test", "validation+test"]
StopOn = Literal["own images", "test images"]
OWN: StopOn = "own images"
TESTED: StopOn = "test images"
TENTH = 10


class _Rule(BaseModel):
    """stop_on: what early stopping looks at: validation images of its own, or a tenth of the test images.

    The second is what the paper may have done: then the validation images are trained on, and the tests of tuned
    models are not on unseen images alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_on: StopOn = OWN


class Modulo(_Rule):
    """(number in the image's name - minus) mod modulus; the lists say which remainders go where."""

    rule: Literal["modulo"]
    modulus: int = Field(gt=0)
    minus: int = 0
    train: tuple[int, ...] = ()
    validation: tuple[int, ...] = ()
    test: tuple[int, ...] = ()


class Hash(_Rule):
    """The sha256 of the image's name mod 100; shares in percent, the same for ever, whatever images come or go."""

    rule: Literal["hash"]
    train: int = 70
    validation: int = 10
    test: int = 20


class Given(_Rule):
    """The data set says it: a column `split` with train, validation or test."""

    rule: Literal["given"]


class Whole(_Rule):
    """Every image is a test image: for a data set that nothing was trained on."""

    rule: Literal["all_test"]


Split = Annotated[Modulo | Hash | Given | Whole, Field(discriminator="rule")]


def _number(image: str) -> int:
    digits = re.findall(r"\d+", image)
    if not digits:
        raise InputError(f"The split rule 'modulo' needs a number in every image name; '{image}' has none. Use 'hash'.")
    return int(digits[-1] if "." not in image else (re.findall(r"\d+", image.rsplit(".", 1)[0]) or digits)[-1])


def split_of(stimuli: Stimuli, rule: Split) -> tuple[Part | None, ...]:
    """The part of each image, None for images that the rule leaves out.

    With `stop_on: test images` validation images train, and of the test images those whose name's sha256 is divisible
    by 10 belong to validation and test. Raises InputError: an image name without a number, or no split column where
    the rule needs one.
    """
    own = _by_rule(stimuli, rule)
    if rule.stop_on == OWN or isinstance(rule, Whole):
        return own
    return tuple(_with_tested(part, image) for part, image in zip(own, stimuli.ids, strict=True))


def _with_tested(part: SplitName | None, image: str) -> Part | None:
    if part == "test":
        return BOTH if _sha256(image) % TENTH == 0 else part
    return "train" if part == "validation" else part


def _sha256(image: str) -> int:
    return int(hashlib.sha256(image.encode()).hexdigest(), 16)


def _by_rule(stimuli: Stimuli, rule: Split) -> tuple[SplitName | None, ...]:
    if isinstance(rule, Whole):
        return tuple("test" for _ in stimuli.ids)
    if isinstance(rule, Given):
        if stimuli.given_split is None:
            raise InputError(f"The split rule 'given' needs a column 'split' in the table of '{stimuli.name}'.")
        wrong = sorted(set(stimuli.given_split) - {*NAMES, ""})
        if wrong:
            raise InputError(
                f"The column 'split' may say train, validation or test, not {', '.join(map(repr, wrong))}."
            )
        given: dict[str, SplitName | None] = {"": None, **{name: name for name in NAMES}}
        return tuple(given[s] for s in stimuli.given_split)
    if isinstance(rule, Modulo):
        places: dict[int, SplitName] = {r: name for name in NAMES for r in getattr(rule, name)}
        return tuple(places.get((_number(i) - rule.minus) % rule.modulus) for i in stimuli.ids)
    bounds = np.cumsum([rule.train, rule.validation, rule.test])
    bucket = [_sha256(i) % 100 for i in stimuli.ids]
    return tuple(next((n for n, b in zip(NAMES, bounds, strict=True) if k < b), None) for k in bucket)


def members(split: Sequence[Part | None], name: SplitName, limit: int | None = None) -> Int[np.ndarray, " kept"]:
    """Positions of the images of one split, in the data set's order; at most `limit` of them."""
    return np.array([i for i, part in enumerate(split) if is_in(part, name)], dtype=np.int64)[:limit]


def is_in(part: str | None, name: SplitName) -> bool:
    """Whether an image of this part belongs to a split."""
    return part == name or (part == BOTH and name in ("validation", "test"))

"""What each row of a figure is called, and the colour and the marker that it has in every figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gazetune.tables.rows import PRIORS, ROWS

PaletteName = Literal["colour_blind", "paper"]
Format = Literal["svg", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "pdf")
HUMAN_COLOUR = "#FFFFFF"
LONGEST = 26  # letters of a name that are drawn


@dataclass(frozen=True)
class Palette:
    """Colours by role; `others` in turn, the first of them for the first tuned model and for what is better."""

    reference: str
    control: str
    prior: str
    others: tuple[str, ...]


PALETTES: dict[PaletteName, Palette] = {
    # Okabe & Ito (2008), Color Universal Design; grey is none of theirs
    "colour_blind": Palette("#D55E00", "#8A8A8A", "#F0E442", ("#009E73", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9")),
    # red, green and grey as the captions of the paper say; their shades are ours
    "paper": Palette("#D62728", "#8A8A8A", "#F0E442", ("#2CA02C", "#1F77B4", "#9467BD", "#FF7F0E", "#17BECF")),
}
DEFAULT: PaletteName = "colour_blind"
MARKERS = {"reference": "s", "control": "D"}  # by role; the rest take these in turn:
OTHER_MARKERS = "o^vPXd*"


@dataclass(frozen=True)
class Look:
    """Labels, colours and markers by key: of models, and of the rows that are none (see tables.rows).

    controls: the keys of the models that are controls. formats: in which figures that show data are written besides
    PNG.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    markers: Mapping[str, str] = field(default_factory=dict)
    controls: frozenset[str] = frozenset()
    palette: Palette = PALETTES[DEFAULT]
    formats: tuple[Format, ...] = FORMATS

    def name(self, key: str) -> str:
        """What a row is called, as it is drawn: shortened in the middle, dollars as dollars."""
        return literal(shortened(self.labels.get(key, key)))

    def colour(self, key: str) -> str:
        """Its colour; white for humans and what has none."""
        return self.colours.get(key, HUMAN_COLOUR)

    def marker(self, key: str) -> str:
        """Its marker."""
        return self.markers.get(key, "o")


def look_of(
    roles: Mapping[str, str], labels: Mapping[str, str], palette: PaletteName = DEFAULT,
    formats: tuple[Format, ...] = FORMATS,
) -> Look:  # fmt: skip
    """The look of a run's rows. roles, labels: of its models, by key (see Experiment)."""
    paint = PALETTES[palette]
    priors = dict.fromkeys(PRIORS, paint.prior)
    marks = dict.fromkeys(PRIORS, "h")
    controls = frozenset(key for key, role in roles.items() if role == "control")
    return Look({**ROWS, **labels}, priors | colours(roles, palette), marks | markers(roles), controls, paint, formats)


def colours(roles: Mapping[str, str], palette: PaletteName = DEFAULT) -> dict[str, str]:
    """A colour for each model by its role: the reference's, the controls' grey, `others` in turn for the rest."""
    paint = PALETTES[palette]
    rest = iter(paint.others * len(roles))
    fixed = {"reference": paint.reference, "control": paint.control}
    return {key: fixed.get(role) or next(rest) for key, role in roles.items()}


def markers(roles: Mapping[str, str]) -> dict[str, str]:
    """A marker for each model by its role, as `colours`, so that no colour has to be told from another."""
    rest = iter(OTHER_MARKERS * len(roles))
    return {key: MARKERS.get(role) or next(rest) for key, role in roles.items()}


def shortened(text: str, longest: int = LONGEST) -> str:
    """A name of at most so many letters: the middle of a longer one is left out, and one line is made of several."""
    text = " ".join(text.split())
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-(longest - half - 1) :]}"


def literal(text: str) -> str:
    """A name as it is written: matplotlib takes what stands between two dollars for a formula."""
    return text.replace("$", r"\$")

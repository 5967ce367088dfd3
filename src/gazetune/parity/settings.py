"""How labelled images reach a classifier; the defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from gazetune.parity.corruptions import CORRUPTIONS, SEVERITIES

Severity = Annotated[int, Field(ge=min(SEVERITIES), le=max(SEVERITIES))]


class Classification(BaseModel):
    """One set of labelled images to classify.

    kind, path: of the source (see docs/parity.md); without a path, which --data NAME=PATH gives, it is not run.
    classes, answers, mapping: its class list, ground truth and mapping files, where they do not lie beside it.
    class_map: a CSV for models whose classes have other names. subset: `published_5000` for the fixed 5,000 images
    of ImageNet's validation set. limit: at most so many images, taken evenly over the classes. corruptions: made in
    memory of every image, at these severities, seeded. corrupt_at: the whole `image` before any preprocessing (the
    paper's) or the `crop` that the model sees (ImageNet-C's own); the two are not comparable. preprocessing:
    `paper` (squashed to 256/224 of the input size by the bilinear filter, then the middle) or `squashed` (to the
    input size by the bicubic filter, as for attention maps; images that have it stay as they are). margin:
    difference of accuracies that counts as none, in percentage points. folds, probe_seed: of the linear probe on
    models without a head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    path: str | None = None
    classes: str | None = None
    answers: str | None = None
    mapping: str | None = None
    class_map: str | None = None
    subset: Literal["published_5000"] | None = None
    limit: PositiveInt | None = None
    corruptions: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = Field(default=(5,), min_length=1)
    seed: int = Field(default=0, ge=0)
    corrupt_at: Literal["image", "crop"] = "image"
    preprocessing: Literal["paper", "squashed"] = "paper"
    margin: float = Field(default=1.0, gt=0, lt=100)
    folds: int = Field(default=5, ge=2)
    probe_seed: int = Field(default=0, ge=0)

    @field_validator("corruptions")
    @classmethod
    def _corruptions_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CORRUPTIONS:
                raise ValueError(f"there is no corruption '{name}'; there is {', '.join(CORRUPTIONS)}")
        return tuple(dict.fromkeys(names))

    @field_validator("severities")
    @classmethod
    def _each_once(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(severities))

    def copies(self) -> tuple[tuple[str, int], ...]:
        """(corruption, severity) of every copy of an image that is classified; ("", 0) is the image itself."""
        return tuple((name, severity) for name in self.corruptions for severity in self.severities) or (("", 0),)

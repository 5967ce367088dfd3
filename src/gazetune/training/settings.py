"""The settings of a training; the defaults are the paper's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

Precision = Literal["auto", "fp32", "bf16"]


class Training(BaseModel):
    """How a model is tuned.

    lambda_attention: weight of the attention term against distillation. epochs, max_steps: whichever ends first.
    evaluate_every: steps between evaluations on the validation images. patience: evaluations without an improvement
    of min_improvement in validation loss before stopping early. checkpoint_seconds: how often the state to go on
    from is saved, besides every evaluation. shuffle_seed: of the control's derangement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: PositiveFloat = 1e-5
    weight_decay: NonNegativeFloat = 0.01
    batch_size: PositiveInt = 8
    epochs: PositiveInt = 20
    max_steps: PositiveInt | None = None
    evaluate_every: PositiveInt = 200
    patience: PositiveInt = 3
    min_improvement: NonNegativeFloat = 0.001
    lambda_attention: NonNegativeFloat = 1.0
    precision: Precision = "auto"
    checkpoint_seconds: PositiveFloat = 120.0
    shuffle_seed: int = Field(default=42, ge=0)

    def steps(self, n_images: int) -> int:
        """The number of steps if nothing stops it early; the last batch of an epoch may be smaller."""
        whole = self.epochs * -(-n_images // self.batch_size)
        return min(whole, self.max_steps) if self.max_steps else whole

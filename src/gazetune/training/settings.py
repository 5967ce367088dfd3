"""The settings of a training; the defaults are the paper's."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

Precision = Literal["auto", "fp32", "bf16"]
Statistics = Literal["frozen", "moving"]


class Training(BaseModel):
    """How a model is tuned.

    lambda_attention: weight of the attention term against distillation. epochs, max_steps: whichever ends first.
    evaluate_every: steps between evaluations on the validation images. patience: evaluations without an improvement
    of min_improvement in validation loss before stopping early. checkpoint_seconds: how often the state to go on
    from is saved, besides every evaluation. shuffle_seed: of the control's derangement.

    Beyond the paper: lambda_logits, lambda_tokens, lambda_l2: weights of what else holds on to the start (its logits,
    its patch tokens, its weights). distil_on: a folder of other photos on which the start is held on to as well.
    max_accuracy_loss: by how many percentage points the weights that are kept may be less often right than the start
    on the labelled images accuracy_on (a folder of classes, or a CSV of paths and labels). batch_norm_statistics: of
    the batch norms that learn: frozen, or moving by the batches of a training (docs/cnn.md). max_grad_norm: a longer
    gradient is shortened to this length; two pixels that nearly tie for a map's minimum can make it a hundred times as
    long for one step (docs/training.md).
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
    lambda_logits: NonNegativeFloat = 0.0
    lambda_tokens: NonNegativeFloat = 0.0
    lambda_l2: NonNegativeFloat = 0.0
    distil_on: str | None = None
    max_accuracy_loss: NonNegativeFloat | None = None
    accuracy_on: str | None = None
    batch_norm_statistics: Statistics = "frozen"
    max_grad_norm: PositiveFloat | None = None

    @model_validator(mode="after")
    def _accuracy_of_what(self) -> "Training":
        if self.max_accuracy_loss is not None and self.accuracy_on is None:
            raise ValueError(
                "max_accuracy_loss needs accuracy_on: a folder with one sub-folder a class, or a CSV of paths and "
                "labels"
            )
        return self

    def steps(self, n_images: int) -> int:
        """The number of steps if nothing stops it early; the last batch of an epoch may be smaller."""
        whole = self.epochs * -(-n_images // self.batch_size)
        return min(whole, self.max_steps) if self.max_steps else whole

    def what_matters(self) -> dict[str, Any]:
        """The settings that the outcome depends on, as JSON; those beyond the paper only where they are used.

        Folders are not among them: what counts is what lies there.
        """
        paper = self.model_dump(exclude={*BEYOND, *FOLDERS, "checkpoint_seconds"})
        return paper | self.model_dump(include=set(BEYOND), exclude_defaults=True)


BEYOND = ("lambda_logits", "lambda_tokens", "lambda_l2", "max_accuracy_loss", "batch_norm_statistics", "max_grad_norm")
FOLDERS = ("distil_on", "accuracy_on")

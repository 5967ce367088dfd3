"""What the rest of the house may ask of a model: the `Backbone` protocol and what a call returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor, nn

# what `Output.attention` holds of a layer: the average over its heads; every head; the [CLS] row of every head (the
# mean of the patches' rows for a model that is not read at [CLS]); nothing. `read` is `mean` for who needs no more than
# the map, the feature and the class scores, and first derivatives: other rows of the last block may be missing, of its
# attention and tokens
Kept = Literal["mean", "read", "heads", "cls", "none"]
# what an attention method reads of an output
Given = Literal["attention", "activations"]


@dataclass(frozen=True)
class Output:
    """One forward pass over a batch of images, with the graph attached.

    logits: class scores, or None for a backbone without a head.
    feature: the hidden state that distillation holds on to ([CLS] after the last block, before the final norm; of a
    model that is not read at [CLS] the mean of the patches there, or what its pooling head makes of them).
    attention: per layer, first to last, the attention probabilities: averaged over heads [batch, tokens, tokens] (of
    the last layer perhaps the [CLS] row alone, where `read` was asked for);
    or, on request, of every head [batch, heads, tokens, tokens], or of its [CLS] row alone [batch, heads, tokens]; or
    none at all, which is faster. Empty for a CNN.
    prefix: how many tokens stand before the patches ([CLS], registers, distillation token); 0 for a CNN.
    grid: (height, width) of the patch grid, or of a CNN's last stage.
    tokens: every token after the last block, before the final norm, prefix first; None for a model without tokens.
    representation: what a classification head of this model would sit on ([CLS] after the final norm, or the pooled
    vector); None where the model has a head of its own and does not show it.
    activations: the maps of a CNN's last stage; of a transformer the patch tokens that the attention of the last block
    reads, a map for each channel; None for a model that has none to show.
    readout: the weights of the tokens (sum 1) that a map starts from, for a model that is not read at [CLS]: the mean
    of the patches, or the attention of its pooling head's query; None: the [CLS] row.
    """

    logits: Float[Tensor, "batch classes"] | None
    feature: Float[Tensor, "batch dim"]
    attention: tuple[Float[Tensor, "batch ... tokens"], ...]
    prefix: int
    grid: tuple[int, int]
    tokens: Float[Tensor, "batch tokens dim"] | None = None
    representation: Float[Tensor, "batch dim"] | None = None
    activations: Float[Tensor, "batch channels grid_height grid_width"] | None = None
    readout: Float[Tensor, "batch tokens"] | None = None


@runtime_checkable
class Backbone(Protocol):
    """A pretrained model: images in, `Output` out; it knows which of its parameters may learn."""

    image_size: tuple[int, int]
    grid: tuple[int, int]
    heads: int  # attention heads of a layer; 0 for a model that has none
    classes: tuple[str, ...]  # the names of the logits, in order; empty without a head or without names

    @property
    def model(self) -> nn.Module:
        """The PyTorch module itself."""

    @property
    def gives(self) -> frozenset[Given]:
        """Which fields of `Output` it fills that an attention method may read."""

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"], attention: Kept = "mean") -> Output:
        """RGB images as uint8, of `image_size`; scaling and normalisation happen inside.

        `attention` says what to keep of it: `heads` and `cls` only of a model that has heads; `none` where only the
        classes are asked for; `read` may be taken as `mean`. A CNN keeps none.
        """

    def learnable(self) -> dict[str, nn.Parameter]:
        """The parameters that the method tunes, by name; all others stay as they are."""

    def normalisation(self) -> str:
        """What is done to the levels of an image of the model's input size, in words, for tables and reports."""

    def save(self, folder: Path) -> None:
        """Write the model as a folder that plain transformers loads."""

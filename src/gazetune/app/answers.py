"""What one model makes of one photo: where it looks, read in one of several ways, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

from gazetune.app.models import Asked
from gazetune.attention import METHODS
from gazetune.attention.extract import forward
from gazetune.maps import min_max, upsampled

OWN = "own"  # the method of each model as in the run
TOP = 5
PREDICTED = "explains the class that the model itself predicts"


@dataclass(frozen=True)
class Reading:
    """How attention is read: by a method; or, with a layer (from 1), the [CLS] row of a head (from 1; 0: mean)."""

    method: str = OWN
    layer: int = 0
    head: int = 0


@dataclass(frozen=True)
class Answer:
    """What a model makes of a photo.

    map: where it looks, 0..1; None where there is none, `why` then says why. how: the way it was read, in words. top:
    class and probability, largest first; None for a model without a classification head.
    """

    key: str
    label: str
    how: str
    map: Float32[np.ndarray, "size size"] | None
    why: str
    top: tuple[tuple[str, float], ...] | None


def answer(asked: Asked, photo: UInt8[np.ndarray, "height width 3"], reading: Reading, size: int) -> Answer:
    """The map of one model, on size x size pixels, and its top 5; what `attention_maps` gives for that photo.

    photo: RGB at the model's input size. A way of reading that does not fit the model gives no map, with the reason.
    """
    images = _batch(asked, photo)
    how, why = described(asked, reading)
    with torch.no_grad():
        if why:
            grid, logits = None, asked.backbone(images, attention="none").logits
        elif reading.layer:
            output = asked.backbone(images, attention="cls")
            grid, logits = (
                _row(output.attention[reading.layer - 1], reading.head, output.prefix, output.grid),
                output.logits,
            )
        else:
            found = forward(
                asked.backbone, lambda start, stop: images[start:stop], 1, METHODS[_method(asked, reading)], 1
            )
            grid, logits = found["grid"], found.get("logits")
        shown = None if grid is None else upsampled(grid.float().cpu(), size)[0].numpy()
    if shown is not None and np.isnan(shown).any():
        shown, why = None, "This map is constant: it prefers no place."
    return Answer(
        asked.key, asked.label, how, shown, why, None if logits is None else _top(asked.backbone.classes, logits)
    )


def described(asked: Asked, reading: Reading) -> tuple[str, str]:
    """How a model's attention is read, in words; and why it cannot be read so, or an empty string."""
    if not reading.layer:
        name = _method(asked, reading)
        method, fits = METHODS[name], asked.fitting
        instead = " or ".join(METHODS[other].label for other in fits) or "none of the methods"
        why = "" if name in fits else f"{method.label} does not fit this model; {instead} would."
        return method.label + (f", {PREDICTED}" if method.gradient and not why else ""), why
    head = f"head {reading.head}" if reading.head else "mean of the heads"
    how = f"layer {reading.layer}, {head}"
    if not asked.layers:
        return how, "This model has no attention heads."
    if reading.layer > asked.layers or reading.head > asked.backbone.heads:
        return how, f"This model has {asked.layers} layers of {asked.backbone.heads} heads."
    return how, ""


def every_head(asked: Asked, photo: UInt8[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "layer head gh gw"]:
    """The [CLS] row over the patches of every head of every layer, on the patch grid, each scaled to 0..1.

    NaN where it is constant. The model has heads. Of one that is not read at [CLS]: the mean of the patches' rows.
    """
    with torch.no_grad():
        output = asked.backbone(_batch(asked, photo), attention="cls")
    rows = torch.stack([layer[0, :, output.prefix :].double().cpu() for layer in output.attention])
    return min_max(rows.view(-1, *output.grid)).view(*rows.shape[:2], *output.grid).numpy()


def _method(asked: Asked, reading: Reading) -> str:
    return asked.method if reading.method == OWN else reading.method


def _batch(asked: Asked, photo: UInt8[np.ndarray, "height width 3"]) -> UInt8[Tensor, "1 3 height width"]:
    device = next(asked.backbone.model.parameters()).device
    return torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].to(device)


def _row(
    attention: Float[Tensor, "1 heads tokens"], head: int, prefix: int, grid: tuple[int, int]
) -> Float[Tensor, "1 gh gw"]:
    row = attention[:, head - 1] if head else attention.mean(dim=1)
    return row[:, prefix:].unflatten(1, grid)


def _top(classes: Sequence[str], logits: Float[Tensor, "1 classes"]) -> tuple[tuple[str, float], ...]:
    """The five most probable classes; of equal ones the first."""
    probability = logits[0].double().softmax(0).cpu()
    ranked = probability.argsort(descending=True, stable=True)[:TOP].tolist()
    return tuple((classes[i] if classes else f"class {i}", float(probability[i])) for i in ranked)

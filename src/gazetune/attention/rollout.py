"""Attention rollout (Abnar & Zuidema, 2020): how much of each patch reaches the read-out ([CLS]) through all layers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.backbones.protocol import Output


def cls_row(layers: tuple[Float[Tensor, "batch _ tokens"], ...]) -> Float[Tensor, "batch tokens"]:
    """The [CLS] row of the product (A_L + I)/2 ... (A_1 + I)/2, differentiable.

    `layers` run from first to last; rows of each A sum to 1, so halving A + I re-normalises it. Only one row is read,
    so only one row is carried, from the last layer back: layers x tokens^2 operations instead of tokens^3.
    """
    row = layers[-1][:, 0] / 2
    row = row + row.new_zeros(row.shape).index_fill(1, row.new_zeros(1).long(), 0.5)
    for attention in reversed(layers[:-1]):
        row = ((row[:, None] @ attention)[:, 0] + row) / 2
    return row


def carried_row(
    layers: tuple[Float[Tensor, "batch _ tokens"], ...], readout: Float[Tensor, "batch tokens"] | None = None
) -> Float[Tensor, "batch tokens"]:
    """`readout` times the product (A_L + I)/2 ... (A_1 + I)/2, differentiable; the [CLS] row of it without a readout.

    The row that is carried starts from these weights of the last layer's tokens (see `Output.readout`).
    """
    if readout is None:
        return cls_row(layers)
    row = readout
    for attention in reversed(layers):
        row = ((row[:, None] @ attention)[:, 0] + row) / 2
    return row


def first_row(
    matrices: Sequence[Float[Tensor, "batch _ tokens"]], readout: Float[Tensor, "batch tokens"] | None = None
) -> Float[Tensor, "batch tokens"]:
    """`readout` times the product M_L ... M_1 of matrices that run from first to last layer, differentiable.

    Without a readout (see `Output.readout`) its [CLS] row.
    """
    row = matrices[-1][:, 0] if readout is None else torch.bmm(readout[:, None], matrices[-1])[:, 0]
    for matrix in reversed(matrices[:-1]):
        row = torch.bmm(row[:, None], matrix)[:, 0]
    return row


def rollout(output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
    """The rollout of each image on the patch grid, differentiable.

    Prefix tokens ([CLS], registers) take part in every product and are dropped only here, at the read-out.
    """
    row = carried_row(output.attention, output.readout)
    return row[:, output.prefix :].unflatten(1, output.grid)

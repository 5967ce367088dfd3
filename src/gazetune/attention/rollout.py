"""Attention rollout (Abnar & Zuidema, 2020): how much of each patch reaches the [CLS] token through all layers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.backbones.protocol import Output


def cls_row(layers: tuple[Float[Tensor, "batch tokens tokens"], ...]) -> Float[Tensor, "batch tokens"]:
    """The [CLS] row of the product (A_L + I)/2 ... (A_1 + I)/2, differentiable.

    `layers` run from first to last; rows of each A sum to 1, so halving A + I re-normalises it. Only one row is read,
    so only one row is carried, from the last layer back: layers x tokens^2 operations instead of tokens^3.
    """
    row = layers[-1][:, 0] / 2
    row = row + row.new_zeros(row.shape).index_fill(1, row.new_zeros(1).long(), 0.5)
    for attention in reversed(layers[:-1]):
        row = ((row[:, None] @ attention)[:, 0] + row) / 2
    return row


def first_row(matrices: Sequence[Float[Tensor, "batch tokens tokens"]]) -> Float[Tensor, "batch tokens"]:
    """The [CLS] row of the product M_L ... M_1 of matrices that run from first to last layer, differentiable."""
    row = matrices[-1][:, 0]
    for matrix in reversed(matrices[:-1]):
        row = torch.bmm(row[:, None], matrix)[:, 0]
    return row


def rollout(output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
    """The rollout of each image on the patch grid, differentiable.

    Prefix tokens ([CLS], registers) take part in every product and are dropped only here, at the read-out.
    """
    row = cls_row(output.attention)
    return row[:, output.prefix :].reshape(len(row), *output.grid)

"""Attention with the mean of its probabilities: by hand, as torch's own, with and without a graph the same bits."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from gazetune.backbones.head_mean import HeadMean


def states(images, heads, tokens, dim, kind=torch.float32):
    draw = torch.Generator().manual_seed(3)
    # as a projection hands them on: heads beside each other in memory, behind the tokens
    return [torch.randn(images, tokens, heads, dim, generator=draw).to(kind).transpose(1, 2) for _ in range(3)]


def test_two_heads_by_hand():
    query = torch.tensor([[[[0.0], [1.0]], [[0.0], [0.0]]]])
    key = torch.tensor([[[[0.0], [2 * math.log(3)]], [[5.0], [7.0]]]])
    value = torch.tensor([[[[4.0], [8.0]], [[1.0], [3.0]]]])
    mixed, mean = HeadMean.apply(query, key, value, 0.5)
    # rows of the first head 1/2 1/2 and 1/4 3/4, of the second 1/2 1/2 twice
    assert mean.flatten().tolist() == pytest.approx([0.5, 0.5, 0.375, 0.625])
    assert mixed.flatten().tolist() == pytest.approx([6, 2, 7, 2])  # [token, head]


@pytest.mark.parametrize("rows", [5, 1])
def test_as_torchs_own_attention(rows):
    query, key, value = states(3, 2, 5, 4, torch.float64)
    mixed, mean = HeadMean.apply(query[:, :, :rows], key, value, 0.3)
    theirs = scaled_dot_product_attention(query[:, :, :rows], key, value, scale=0.3)
    torch.testing.assert_close(mixed, theirs.transpose(1, 2), rtol=0, atol=1e-14)
    weights = ((query[:, :, :rows] @ key.transpose(2, 3)) * 0.3).softmax(-1).mean(1)
    torch.testing.assert_close(mean, weights, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [197, 1])
def test_without_a_graph_it_has_the_same_bits(kind, rows):
    query, key, value = states(3, 12, 197, 64, kind)
    alone = HeadMean.apply(query[:, :, :rows], key, value, 0.125)
    graph = HeadMean.apply(query[:, :, :rows].clone().requires_grad_(), key, value, 0.125)
    for one, other in zip(alone, graph, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)
    assert alone[1].dtype == torch.float32
    each = [HeadMean.apply(query[i : i + 1, :, :rows], key[i : i + 1], value[i : i + 1], 0.125) for i in range(3)]
    assert torch.equal(torch.cat([mixed for mixed, _ in each]), alone[0])

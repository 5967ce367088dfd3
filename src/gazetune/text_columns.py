"""Columns of texts as tensors: the bytes of all texts one after the other, or the number of each among a few."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from jaxtyping import Int32, Shaped
from torch import Tensor


def packed(name: str, texts: Iterable[str]) -> dict[str, Tensor]:
    """The tensors `name`, the bytes of all texts in UTF-8, and `name_bounds`, where each begins and the last ends."""
    each = [text.encode("utf-8", "surrogatepass") for text in texts]
    bounds = list(accumulate(map(len, each), initial=0))
    joined = np.frombuffer(b"".join(each), dtype=np.uint8).copy()
    return {name: torch.from_numpy(joined), f"{name}_bounds": torch.tensor(bounds, dtype=torch.int64)}


def unpacked(name: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """The texts that `packed` made tensors of."""
    joined = tensors[name].numpy().tobytes()
    return [joined[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(tensors[f"{name}_bounds"].numpy())]


def coded(texts: Sequence[str], names: Sequence[str]) -> Int32[Tensor, " text"]:
    """The number of each text among the names."""
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number[text] for text in texts], dtype=torch.int32)


def decoded(codes: Int32[Tensor, " text"], names: Sequence[str]) -> Shaped[np.ndarray, " text"]:
    """The texts that `coded` made numbers of; each name is in memory once."""
    return np.array(names, dtype=object)[codes.numpy()]

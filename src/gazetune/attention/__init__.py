"""Attention methods: an `Output` in, a map on the patch grid out, differentiable where the method is."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from gazetune.attention.rollout import rollout
from gazetune.backbones import Output

Method = Callable[[Output], Float[Tensor, "batch grid_height grid_width"]]

METHODS: dict[str, Method] = {"rollout": rollout}

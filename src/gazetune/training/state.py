"""Where a training stands, and how it goes on from there bit for bit."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class State:
    """Where a training stands, besides the tensors. The order of the images follows from seed and epoch alone."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    reference_loss: float = math.inf  # what the next evaluation must beat by min_improvement
    waited: int = 0
    stopped_early: bool = False
    evaluated: dict[str, float] = field(default_factory=dict)  # step -> validation loss
    accuracy: dict[str, float] = field(default_factory=dict)  # step -> share of right answers, where it is measured
    best_files: dict[str, str] = field(default_factory=dict)  # of the best weights -> sha256
    refused: list[int] = field(default_factory=list)  # steps whose accuracy is too low for their weights to be kept


@dataclass(frozen=True)
class Keeper:
    """Where a training leaves what it has: its state, its best weights, its log."""

    save_state: Callable[[State, dict[str, Tensor]], None]
    load_state: Callable[[], tuple[State, dict[str, Tensor]] | None]
    save_best: Callable[[], dict[str, str] | None]  # the files that it wrote, with their sha256
    log: Callable[[dict[str, float | int | str]], None]


def tensors_of(
    learnable: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer, statistics: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The learnable weights, what the optimiser keeps of each, and the statistics that move with them."""
    tensors: dict[str, Tensor] = {f"weight/{name}": parameter for name, parameter in learnable.items()}
    tensors |= {f"statistics/{name}": value for name, value in statistics.items()}
    for name, parameter in learnable.items():
        tensors |= {f"{key}/{name}": value for key, value in optimiser.state[parameter].items()}
    return tensors


def restore(
    learnable: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    statistics: Mapping[str, Tensor],
    keep: Keeper,
) -> State | None:
    """The state that `keep` has, with weights, optimiser and statistics set to it; None if it has none."""
    found = keep.load_state()
    if found is None:
        return None
    state, tensors = found
    with torch.no_grad():
        for name, parameter in learnable.items():
            parameter.copy_(tensors.pop(f"weight/{name}"))
        for name, value in statistics.items():
            value.copy_(tensors.pop(f"statistics/{name}"))
    for key, value in tensors.items():
        kind, name = key.split("/", 1)
        where = "cpu" if kind == "step" else learnable[name].device
        optimiser.state[learnable[name]][kind] = value.to(where)
    return state

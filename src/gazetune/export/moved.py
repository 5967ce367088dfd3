"""What a training changed: which parameters and buffers, and how far they moved from where they began."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Moved:
    """How far a model moved from its start.

    learnable, total: numbers of parameters. changed: of the learnable ones, how many are not as they were.
    others_changed: of the rest; 0 if it was frozen. relative: |difference| / |start| over the learnable parameters
    (Euclidean norms); by_block: the same for each block. largest: the largest absolute change of one parameter.
    kinds: what the learnable parameters are called, without the number of their block. buffers: numbers that are no
    parameters, such as the running statistics of batch norm; buffers_changed: how many are not as they were.
    """

    learnable: int
    total: int
    changed: int
    others_changed: int
    relative: float
    largest: float
    by_block: Mapping[str, float]
    kinds: tuple[str, ...]
    buffers: int
    buffers_changed: int


def how_far(start: nn.Module, tuned: nn.Module, learnable: Mapping[str, Tensor]) -> Moved:
    """Compare two models, parameter by parameter and buffer by buffer; `learnable` names what was allowed to change.

    The pooler of transformers is left out: it is not used, and where a file has none, it is random.
    """
    before = {name: p.detach().cpu() for name, p in start.named_parameters() if "pooler." not in name}
    after = {name: p.detach().cpu() for name, p in tuned.named_parameters() if name in before}
    kept = {name: b.detach().cpu() for name, b in start.named_buffers() if name in start.state_dict()}
    now = {name: b.detach().cpu() for name, b in tuned.named_buffers()}
    squares: dict[str, list[float]] = {}
    largest, changed, others = 0.0, 0, 0
    for name, was in before.items():
        difference = (after[name].double() - was.double()).abs()
        n = int((difference > 0).sum())
        if name not in learnable:
            others += n
            continue
        changed, largest = changed + n, max(largest, float(difference.max()))
        number = re.search(r"\.(\d+)\.", name)
        parts = squares.setdefault(number[1] if number else name, [0.0, 0.0])
        parts[0] += float((difference**2).sum())
        parts[1] += float((was.double() ** 2).sum())
    whole = [sum(parts[i] for parts in squares.values()) for i in (0, 1)]
    return Moved(
        learnable=sum(p.numel() for p in learnable.values()),
        total=sum(p.numel() for p in before.values()),
        changed=changed,
        others_changed=others,
        relative=_ratio(whole),
        largest=largest,
        by_block={block: _ratio(parts) for block, parts in squares.items()},
        kinds=tuple(dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in learnable)),
        buffers=sum(b.numel() for b in kept.values()),
        buffers_changed=sum(int((b != now[name]).sum()) for name, b in kept.items()),
    )


def _ratio(squares: list[float]) -> float:
    return (squares[0] / squares[1]) ** 0.5 if squares[1] else float("nan")

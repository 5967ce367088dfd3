"""A training by several processes: each its share of every batch, gradients averaged by DDP through accelerate."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Int
from torch import nn

from gazetune import processes
from gazetune.errors import InputError
from gazetune.training.objective import Loss
from gazetune.training.settings import Training
from gazetune.training.state import Keeper

Ask = Callable[[Int[np.ndarray, " batch"]], Loss]


def share_of(index: Int[np.ndarray, " batch"]) -> tuple[Int[np.ndarray, " share"], float]:
    """This process's share of a batch, and its weight: the mean of the shares' means, so weighted, is the batch's.

    Where the batch is smaller than the number of processes, some take its first image with weight 0: an average of
    gradients needs all processes.
    """
    share = np.array_split(index, processes.count())[processes.rank()] if processes.count() > 1 else index
    return (share if len(share) else index[:1]), len(share) * processes.count() / len(index)


class _Asked(nn.Module):
    """The loss as a module, which is what DDP takes; the model is called as by one process."""

    def __init__(self, model: nn.Module, ask: Callable[..., Loss]) -> None:
        super().__init__()
        self.model, self.ask = model, ask

    def forward(self, index: Int[np.ndarray, " batch"]) -> Loss:
        return self.ask(index)


def averaging(model: nn.Module, ask: Ask) -> Ask:
    """The function that gives a loss, such that its gradient is averaged over the processes; itself for one of them.

    A parameter that no process uses keeps no gradient, as with one process.
    """
    if processes.count() == 1:
        return ask
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    how = DistributedDataParallelKwargs(find_unused_parameters=True)
    # the model lies on its device already
    # precision is the run's own, whatever accelerate was configured with on this machine
    accelerator = Accelerator(mixed_precision="no", dynamo_backend="no", kwargs_handlers=[how])
    return accelerator.prepare_model(_Asked(model, ask), device_placement=False)


def by_main(keep: Keeper) -> Keeper:
    """A keeper for several processes: the main one writes, and what is gone on from is the same in all."""
    if processes.count() == 1:
        return keep
    return Keeper(
        save_state=lambda state, tensors: processes.on_main(partial(keep.save_state, state, tensors)),
        load_state=lambda: processes.from_main(keep.load_state),
        save_best=lambda: processes.from_main(keep.save_best),
        log=lambda entry: keep.log(entry) if processes.is_main() else None,
    )


def require_alone(settings: Training) -> None:
    """Raises InputError for what several processes cannot share."""
    if processes.count() == 1:
        return
    if settings.batch_norm_statistics == "moving":
        raise InputError(
            f"training.batch_norm_statistics: moving takes the statistics of a whole batch, of which each of the "
            f"{processes.count()} processes sees a part. Train with one process, or leave it at frozen."
        )
    if settings.distil_on is not None:
        raise InputError(
            f"training.distil_on is trained with one process, not {processes.count()}: the other photos are weighed "
            f"against the fixation images batch by batch. Start one process; lambda_logits, lambda_tokens and "
            f"lambda_l2 can be shared."
        )

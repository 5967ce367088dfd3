"""The processes of one run, on one machine or several, through accelerate; alone, everything here is a plain call.

torchrun and accelerate launch start them and say to each in RANK and WORLD_SIZE which of how many it is. All of them go
through the same stages in step (docs/processes.md). What is done once, process 0, the main one, does while the others
wait; what is dealt out comes back in the order it would have with one process.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from gazetune.errors import GazetuneError, InputError, Interrupted

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")
# the others wait while the main one does what is done once; a process that is lost is noticed at once, not by this
LONGEST_WAIT = timedelta(hours=24)
LOST = (
    "Another process of this run was lost, so that this one ends too. Every finished stage is saved, and a training as "
    "of its last checkpoint; go on with --resume, with any number of processes."
)
SIGNS = ("gloo", "NCCL", "closed by peer", "reset by peer", "Broken pipe")  # in what torch says of a lost process

_joined: list[int] = []  # how many they are, once they have found together
_alone: ContextVar[bool] = ContextVar("alone", default=False)


def launched() -> int:
    """How many processes were started for this run."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 1


def rank() -> int:
    """Which of the processes this is, counted from 0."""
    return int(os.environ["RANK"]) if launched() > 1 else 0


def here() -> int:
    """How many of the processes of this run are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if launched() > 1 else 1


def is_main() -> bool:
    """Whether this is the process that says things and writes what is written once."""
    return rank() == 0


def count() -> int:
    """Among how many processes the work is to be shared: 1 before `join`, and within what the main one does alone."""
    return 1 if _alone.get() or not _joined else _joined[0]


def join(device: "torch.device") -> "torch.device":
    """Find the other processes of this run, where there are any; returns this one's device of that kind.

    Raises InputError for a kind of device that processes cannot share, or fewer GPUs than processes on a machine.
    """
    if launched() == 1:
        return device
    import torch
    from accelerate import PartialState

    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Several processes work on CUDA devices or on the CPU, not on '{device.type}': --device cpu.")
    if device.type == "cuda" and here() > torch.cuda.device_count():
        raise InputError(
            f"{here()} processes need as many GPUs on a machine, and there are {torch.cuda.device_count()}. Start "
            f"fewer (torchrun --nproc_per_node), or use --device cpu."
        )
    state = PartialState(cpu=device.type == "cpu", timeout=LONGEST_WAIT)
    _joined[:] = [state.num_processes]
    return state.device


def leave() -> None:
    """Part from the other processes, when all is done."""
    if _joined:
        from accelerate import PartialState

        _joined.clear()
        PartialState().destroy_process_group()


def on_main(work: Callable[[], T]) -> T | None:
    """Have the main process do the work while the others wait: its result there, None in the others.

    What it raises is raised in all of them. Whatever the work calls shares nothing out.
    """
    if count() == 1:
        return work()
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState().wait_for_everyone()
    found, failed = _tried(work) if is_main() else (None, None)
    outcome = broadcast_object_list([None if failed is None else _told(failed)])[0]
    _raise(failed or outcome)
    return found


def from_main(work: Callable[[], T]) -> T:
    """Have the main process do the work, and its result everywhere; what it raises is raised in all processes."""
    if count() == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    found = on_main(work)
    return broadcast_object_list([found])[0]


def dealt(
    work: Callable[[T], R], items: Sequence[T], shown: Callable[[Sequence[T]], Iterable[T]] = lambda items: items
) -> list[R]:
    """`work` of each item, the items dealt out among the processes; the results in order, in all of them.

    shown: goes through this process's own items, with its progress.
    """
    own = items[rank() :: count()] if count() > 1 else items
    parts = together(lambda: [work(item) for item in shown(own)])
    found: list[Any] = [None] * len(items)
    for first, part in enumerate(parts):
        found[first :: len(parts)] = part
    return found


def together(work: Callable[[], R]) -> list[R]:
    """What every process makes of its own part of a work, in the order of the processes, in all of them.

    What one of them raises is raised in all. No process may wait for another within the work.
    """
    if count() == 1:
        return [work()]
    from accelerate.utils import gather_object

    found, failed = _tried(work)
    outcomes = gather_object([(found, None if failed is None else _told(failed))])
    _raise(failed or next((told for _, told in outcomes if told is not None), None))
    return [result for result, _ in outcomes]


def mean(values: Mapping[str, float], weight: float = 1.0) -> dict[str, float]:
    """The mean of each value over the processes, with this process's weight (1 on average)."""
    if count() == 1:
        return dict(values)
    import torch
    from accelerate import PartialState
    from accelerate.utils import reduce

    own = torch.tensor([weight * value for value in values.values()], dtype=torch.float64, device=PartialState().device)
    return dict(zip(values, reduce(own, "mean").tolist(), strict=True))


def is_first_to_say() -> bool:
    """Whether no other process of this run has yet said why the run ends: it is said once, by the first that knows.

    They tell by a counter in the store by which they find together; without it, only the main process speaks.
    """
    if launched() == 1:
        return True
    from torch.distributed import TCPStore

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(*where, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=5))
        return store.add(f"gazetune/ended/{attempt}", 1) == 1
    except (RuntimeError, KeyError, ValueError):
        return is_main()


def is_loss(error: BaseException) -> bool:
    """Whether an error only says that another process is gone."""
    return launched() > 1 and isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def _tried(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What the work returns or raises, while it shares nothing out."""
    alone = _alone.set(True)
    try:
        return work(), None
    except BaseException as error:  # it is raised once all processes know
        return None, error
    finally:
        _alone.reset(alone)


def _told(error: BaseException) -> BaseException:
    """An error as another process raises it: only our own are sure to survive the journey."""
    if isinstance(error, Interrupted):
        return Interrupted(str(error))
    if isinstance(error, InputError):
        return InputError(str(error))
    return GazetuneError(str(error) if isinstance(error, GazetuneError) else f"{type(error).__name__}: {error}")


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error

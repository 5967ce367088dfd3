"""The running statistics of batch norms: frozen, or moved by the steps of a training."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gazetune.backbones import Backbone
from gazetune.errors import InputError
from gazetune.training.settings import Training


def moving_norms(backbone: Backbone, settings: Training, name: str = "the model") -> dict[str, _BatchNorm]:
    """The batch norms whose statistics move in a training, by name; none where they are frozen.

    Raises InputError if they are to move and the part of the model that learns has none.
    """
    if settings.batch_norm_statistics == "frozen":
        return {}
    norms = learning_norms(backbone)
    if not norms:
        raise InputError(
            f"training.batch_norm_statistics: moving needs batch norms in the part of a model that learns, and "
            f"'{name}' has none (vision transformers and ConvNeXt have layer norms, which keep no statistics). Leave "
            f"it at frozen, or set it in the `training` of the models that have batch norms."
        )
    return norms


def learning_norms(backbone: Backbone) -> dict[str, _BatchNorm]:
    """The batch norms of the part that learns, by name: those whose own weight and bias are learnable.

    One without weights of its own, or without running statistics, is none of them: nothing says where the one belongs,
    and the other has nothing to move.
    """
    learnable = {id(parameter) for parameter in backbone.learnable().values()}
    return {
        name: module
        for name, module in backbone.model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and module.affine
        and all(id(parameter) in learnable for parameter in module.parameters())
    }


@contextmanager
def by_the_batch(norms: Iterable[_BatchNorm]) -> Iterator[None]:
    """Within it these norms use the statistics of the batch and move their running averages; eval mode after it."""
    norms = list(norms)
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for norm in norms:
            norm.eval()


def statistics_of(norms: Mapping[str, _BatchNorm]) -> dict[str, Tensor]:
    """Running mean, running variance and number of batches of each norm, by their names in the model."""
    return {f"{name}.{key}": buffer for name, norm in norms.items() for key, buffer in norm.named_buffers()}

"""Convolutional networks of transformers: ResNet and ConvNeXt, with or without their classification head."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.backbones.families import IMAGENET, class_names, normalised
from gazetune.backbones.foreign import levels_of, processor_of, sides_of
from gazetune.backbones.protocol import Given, Kept, Output
from gazetune.backbones.source import config_of
from gazetune.documents import short
from gazetune.errors import InputError

# model_type of transformers -> the classes that are read
CNNS: dict[str, tuple[str, ...]] = {
    "resnet": ("ResNetForImageClassification", "ResNetModel"),
    "convnext": ("ConvNextForImageClassification", "ConvNextModel"),
    "convnextv2": ("ConvNextV2ForImageClassification", "ConvNextV2Model"),
}
INPUT_SIZE = 224  # the paper's, where the processor does not say otherwise


class ConvolutionalNetwork:
    """A transformers CNN behind the `Backbone` protocol; in eval mode, so that batch norms keep their statistics."""

    heads = 0

    def __init__(
        self,
        model: PreTrainedModel,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        image_size: tuple[int, int],
        name: str = "",
    ) -> None:
        self._model = model.eval()
        self._body: Any = model.base_model
        self.name = name
        self.mean, self.std, self.image_size = mean, std, image_size
        self.classes = class_names(model) if self._has_head else ()
        learnable = self.learnable()
        for key, parameter in model.named_parameters():  # else every map would need the graph of the whole network
            parameter.requires_grad_(key in learnable)
        with torch.no_grad():
            black = next(model.parameters()).new_zeros(1, 3, *image_size)
            shape = self._body(black).last_hidden_state.shape
        self.grid = (shape[2], shape[3])

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self._model

    @property
    def gives(self) -> frozenset[Given]:
        """The activations of the last stage."""
        return frozenset({"activations"})

    @property
    def _has_head(self) -> bool:
        return self._model is not self._body and self._model.num_labels > 0

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"], attention: Kept = "mean") -> Output:
        """Images to logits, pooled feature and the activations of the last stage; there is no attention to keep."""
        seen = self._body(normalised(images, self.mean, self.std, next(self._model.parameters())))
        activations, pooled = seen.last_hidden_state, seen.pooler_output
        return Output(
            logits=self._model.classifier(pooled) if self._has_head else None,
            feature=activations.mean(dim=(2, 3)),
            attention=(),
            prefix=0,
            grid=self.grid,
            representation=pooled.flatten(1),
            activations=activations,
        )

    def own_gradcam(self, output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
        """Grad-CAM of the model's own prediction without automatic differentiation, for files that cannot have any.

        Between the last stage and a class score lie the mean over positions, ConvNeXt's LayerNorm, and a linear map, so
        the gradient can be written down. Without a head: see `gazetune.attention.gradients.score_of`.
        """
        if output.activations is None:
            raise ValueError("an output of this model has activations")
        mean = output.activations.mean(dim=(2, 3))
        if output.logits is None:
            change = mean / mean.square().sum(dim=1, keepdim=True)
        else:
            linear = next(m for m in self._model.classifier.modules() if isinstance(m, nn.Linear))
            change = linear.weight[output.logits.argmax(dim=1)]
            norm = getattr(self._body, "layernorm", None)
            if norm is not None:  # y = (x - m) / s * g + b, s over the channels
                scale = (mean.var(dim=1, correction=0, keepdim=True) + norm.eps).sqrt()
                unit, scaled = (mean - mean.mean(dim=1, keepdim=True)) / scale, change * norm.weight
                along = unit * (scaled * unit).mean(dim=1, keepdim=True)
                change = (scaled - scaled.mean(dim=1, keepdim=True) - along) / scale
        cells = self.grid[0] * self.grid[1]
        return (change[:, :, None, None] / cells * output.activations).sum(dim=1).relu()

    def learnable(self) -> dict[str, nn.Parameter]:
        """All parameters of the last stage (ResNet's layer4), weight and bias of its norms among them, by name."""
        last = {id(parameter) for parameter in self._body.encoder.stages[-1].parameters()}
        return {name: p for name, p in self._model.named_parameters() if id(p) in last}

    def normalisation(self) -> str:
        """What is done to the levels of an image, in words."""
        return f"mean {self.mean}, SD {self.std}"

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (safetensors, config, preprocessor) that plain transformers loads."""
        self._model.save_pretrained(folder)
        # the one that squashes as this package does; the family's own scales the short side and crops
        processor = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "resample": 3, "do_rescale": True}
        processor |= {"size": {"height": self.image_size[0], "width": self.image_size[1]}, "rescale_factor": 1 / 255}
        processor |= {"do_normalize": True, "image_mean": list(self.mean), "image_std": list(self.std)}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def load_cnn(source: str, image_size: int | Sequence[int] | None = None) -> ConvolutionalNetwork:
    """A ResNet or ConvNeXt by hub name or local folder; weights from safetensors only, widened to float32.

    Args:
        source: hub name (`microsoft/resnet-50`) or a folder with config.json and model.safetensors.
        image_size: side of the input in pixels, or its (height, width); the processor's own where None, else 224.

    Raises:
        InputError: nothing usable there, no safetensors, or a class that has no single map to explain.
    """
    path, config = Path(source).expanduser().as_posix(), config_of(source)
    said = config.architectures
    architecture = str(said[0]) if isinstance(said, list) and said else CNNS[config.model_type][0]
    if architecture not in CNNS[config.model_type]:
        raise InputError(f"'{source}' is a {architecture}. Needed: {' or '.join(CNNS[config.model_type])}.")
    try:
        model, report = getattr(transformers, architecture).from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as reason:  # for a damaged file the libraries raise errors of a dozen kinds
        raise InputError(
            f"No usable weights at '{source}': {short((str(reason) or repr(reason)).splitlines()[0], 300)} "
            f"Needed: config.json and model.safetensors of a {architecture}."
        ) from reason
    lacking = [*report["missing_keys"], *report["mismatched_keys"]]
    if lacking:
        raise InputError(f"The weights at '{source}' lack {len(lacking)} tensors of {architecture}.")
    processor = processor_of(path)
    mean, std = levels_of(processor, IMAGENET, source)
    size = _input_size(image_size or processor.get("crop_size") or processor.get("size") or INPUT_SIZE)
    return ConvolutionalNetwork(model, mean, std, size, name=source)


def _input_size(size: int | Sequence[int] | dict[str, int]) -> tuple[int, int]:
    """(height, width) of a size as it may be written; the short side alone stands for a square."""
    if isinstance(size, dict):
        side = size.get("shortest_edge", INPUT_SIZE)
        return sides_of((size.get("height", side), size.get("width", side)))
    return sides_of(size)

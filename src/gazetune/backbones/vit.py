"""Any Hugging Face vision transformer with a [CLS] token (ViT, DeiT, DINOv2 with and without registers)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from gazetune.backbones.capture import CLS_ROWS, EACH_HEAD, HEAD_MEAN
from gazetune.backbones.protocol import Given, Kept, Output
from gazetune.errors import InputError

transformers.utils.logging.disable_progress_bar()

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# mean and SD where a folder has no preprocessor_config.json: those the families were trained with
NORMALISATION = {"vit": HALF, "deit": IMAGENET, "dinov2": IMAGENET, "dinov2_with_registers": IMAGENET}
FIXED_POSITIONS = ("vit", "deit")  # families whose position table must be told to stretch
KEEPING: dict[Kept, str] = {"mean": HEAD_MEAN, "heads": EACH_HEAD, "cls": CLS_ROWS}
INPUT_SIZE = 224  # the paper's, where neither the processor nor a fixed position table says otherwise


class VisionTransformer:
    """A transformers vision model behind the `Backbone` protocol; always in eval mode (no dropout)."""

    def __init__(
        self,
        model: PreTrainedModel,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        image_size: tuple[int, int],
        name: str = "",
    ) -> None:
        self._model = model.eval()
        self.name = name
        self.mean, self.std, self.image_size = mean, std, image_size
        patch = model.config.patch_size
        down, across = (patch, patch) if isinstance(patch, int) else patch
        self.grid = (image_size[0] // down, image_size[1] // across)
        self.heads = model.config.num_attention_heads
        self.classes = _class_names(model)
        self._blocks = _find_blocks(model, name)
        self._last: list[Tensor] = []
        self._blocks[-1].register_forward_hook(self._keep_last)
        self._activations: list[Tensor] = []
        self._reads = _first_norm(self._blocks[-1])
        if self._reads is not None:
            self._reads.register_forward_hook(self._show_patches)
        model.set_attn_implementation(HEAD_MEAN)

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self._model

    @property
    def gives(self) -> frozenset[Given]:
        """Attention probabilities; and the patches that the last block reads, where it begins with a norm."""
        return frozenset({"attention"} if self._reads is None else {"attention", "activations"})

    def _keep_last(self, _module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        self._last = [output if isinstance(output, Tensor) else output[0]]

    def _show_patches(self, _module: nn.Module, _inputs: object, tokens: Tensor) -> Tensor:
        """Hand the tokens on by way of the patches as maps, so that gradients with respect to these can be had."""
        prefix = tokens.shape[1] - self.grid[0] * self.grid[1]
        maps = tokens[:, prefix:].transpose(1, 2).unflatten(2, self.grid)
        self._activations = [maps]
        return torch.cat([tokens[:, :prefix], maps.flatten(2).transpose(1, 2)], dim=1)

    @contextmanager
    def _keeping(self, attention: Kept) -> Iterator[None]:
        """Attend, for a while, by the function that keeps this of the attention."""
        function = KEEPING[attention]
        if function == HEAD_MEAN:  # as it is
            yield
            return
        self.model.set_attn_implementation(function)
        try:
            yield
        finally:
            self.model.set_attn_implementation(HEAD_MEAN)

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"], attention: Kept = "mean") -> Output:
        """Images to logits, feature and attention. Raises InputError if not every layer gives its map."""
        pixels = self._normalised(images, next(self.model.parameters()))
        with self._keeping(attention):
            outcome = self.model(pixels, output_attentions=True, **self._position_argument())
        hidden = self._last.pop()
        activations = self._activations.pop() if self._activations else None
        maps = tuple(m for m in outcome.attentions or () if m is not None)
        if len(maps) != len(self._blocks):
            raise InputError(
                f"'{self.name}' has {len(self._blocks)} layers but {len(maps)} attention maps came back, so a rollout "
                f"would be wrong. Use an architecture whose attention goes through transformers' AttentionInterface."
            )
        prefix = maps[0].shape[-1] - self.grid[0] * self.grid[1]
        if prefix < 1:
            raise InputError(f"'{self.name}' has no [CLS] token, so its rollout cannot be read.")
        logits = getattr(outcome, "logits", None)
        normed = getattr(outcome, "last_hidden_state", None)  # a model without a head shows it
        return Output(
            logits=logits,
            feature=hidden[:, 0],
            attention=maps,
            prefix=prefix,
            grid=self.grid,
            tokens=hidden,
            representation=None if normed is None else normed[:, 0],
            activations=activations,
        )

    def _normalised(self, images: UInt8[Tensor, "batch 3 h w"], like: Tensor) -> Float[Tensor, "batch 3 h w"]:
        mean = torch.tensor(self.mean, device=like.device).view(3, 1, 1) * 255
        std = torch.tensor(self.std, device=like.device).view(3, 1, 1) * 255
        return ((images.to(like.device).float() - mean) / std).to(like.dtype)

    def _position_argument(self) -> dict[str, bool]:
        # DINOv2 always fits its position table to the image; ViT and DeiT must be told to
        native = self.model.config.image_size
        native = (native, native) if isinstance(native, int) else tuple(native)
        accepts = self.model.config.model_type in FIXED_POSITIONS
        return {"interpolate_pos_encoding": True} if accepts and native != self.image_size else {}

    def learnable(self) -> dict[str, nn.Parameter]:
        """The query, key, value and output projections of every block, weights and biases, by parameter name."""
        chosen = {id(p) for block in self._blocks for linear in _projections(block) for p in linear.parameters()}
        return {name: p for name, p in self.model.named_parameters() if id(p) in chosen}

    def preprocessing(self) -> str:
        """How an image reaches the model, in words."""
        height, width = self.image_size
        return f"RGB, squashed to {width}x{height} (bicubic), mean {self.mean}, SD {self.std}"

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (safetensors, config, preprocessor) that plain transformers loads."""
        self.model.save_pretrained(folder)
        kind = "DeiTImageProcessor" if self.model.config.model_type == "deit" else "ViTImageProcessor"
        size = {"height": self.image_size[0], "width": self.image_size[1]}
        processor = {"image_processor_type": kind, "do_resize": True, "size": size, "resample": 3, "do_rescale": True}
        processor |= {"rescale_factor": 1 / 255, "do_normalize": True}
        processor |= {"image_mean": list(self.mean), "image_std": list(self.std), "do_center_crop": False}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def _class_names(model: PreTrainedModel) -> tuple[str, ...]:
    names = getattr(model.config, "id2label", None) or {}
    ordered = tuple(str(names[i]) for i in sorted(names))
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(ordered)) else ordered  # transformers' placeholders


def _find_blocks(model: nn.Module, name: str) -> list[nn.Module]:
    """The transformer blocks: the one list of modules as long as the configuration says."""
    depth = getattr(model.config, "num_hidden_layers", None)
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth and _projections(m[0])]
    if len(lists) != 1:
        raise InputError(
            f"'{name}' ({type(model).__name__}) is not a plain vision transformer: no single stack of blocks."
        )
    return list(lists[0])


def _first_norm(block: nn.Module) -> nn.Module | None:
    """The norm before the attention of a block, as all pre-norm families register it: the first of its norms."""
    return next((m for m in block.children() if "norm" in type(m).__name__.lower()), None)


def _projections(block: nn.Module) -> list[nn.Linear]:
    # by module, not by name: the names of the projections differ between families and transformers versions
    attentions = [m for m in block.children() if type(m).__name__.endswith("Attention")]
    return [m for attention in attentions for m in attention.modules() if isinstance(m, nn.Linear)]


def _normalisation(source: str, config: transformers.PretrainedConfig) -> tuple[dict, tuple, tuple]:
    try:
        processor, _ = transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict(source)
    except OSError:
        processor = {}
    if "image_mean" in processor:
        return processor, tuple(processor["image_mean"]), tuple(processor["image_std"])
    if config.model_type not in NORMALISATION:
        raise InputError(
            f"'{source}' has no preprocessor_config.json, and the mean and SD its images need are not known."
        )
    return processor, *NORMALISATION[config.model_type]


def _input_size(processor: dict, config: transformers.PretrainedConfig) -> tuple[int, int]:
    own = config.image_size if config.model_type in FIXED_POSITIONS else INPUT_SIZE
    size = processor.get("crop_size") or processor.get("size") or own
    if isinstance(size, dict):
        return (size["height"], size["width"]) if "height" in size else (INPUT_SIZE, INPUT_SIZE)
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def load_vit(source: str, image_size: int | None = None) -> VisionTransformer:
    """A vision transformer by hub name or local folder; weights from safetensors only, widened to float32.

    Args:
        source: hub name (`google/vit-base-patch16-224`) or a folder with config.json and model.safetensors.
        image_size: side of the square input in pixels; the processor's own where None, else 224.

    Raises:
        InputError: nothing usable there, no safetensors, or not a plain vision transformer.
    """
    looks_local = source.startswith((".", "/", "~")) or source.count("/") > 1
    if looks_local and not Path(source).expanduser().is_dir():
        raise InputError(f"The weights folder '{source}' does not exist. Give a folder or a Hugging Face name.")
    path = str(Path(source).expanduser()) if source.startswith("~") else source
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        named = getattr(transformers, (config.architectures or ["AutoModel"])[0], AutoModel)
        model, report = named.from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as reason:
        raise InputError(
            f"No usable weights at '{source}': {str(reason).splitlines()[0]} "
            f"Needed: a Hugging Face vision transformer with config.json and model.safetensors."
        ) from reason
    # the pooler is not used: checkpoints of self-supervised models come without
    missing = [key for key in report["missing_keys"] if "pooler." not in key]
    if missing:
        raise InputError(f"The weights at '{source}' lack {len(missing)} tensors of {type(model).__name__}.")
    processor, mean, std = _normalisation(path, config)
    side = (image_size, image_size) if image_size else _input_size(processor, config)
    return VisionTransformer(model, mean, std, side, name=source)

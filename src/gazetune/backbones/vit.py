"""Hugging Face vision transformers of the families in `families.py`, behind the `Backbone` protocol."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.backbones.capture import CLS_ROWS, EACH_HEAD, HEAD_MEAN, READ, patch_rows
from gazetune.backbones.families import CLS_ALONE, HALF, IMAGENET, WORDS, class_names, family_of, normalised, pair
from gazetune.backbones.last_block import cls_row_only, keys_and_values
from gazetune.backbones.products import speed_up
from gazetune.backbones.protocol import Given, Kept, Output
from gazetune.errors import InputError

transformers.utils.logging.disable_progress_bar()

__all__ = ["HALF", "IMAGENET", "VisionTransformer"]


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
        self._family = family_of(model, name)
        self._config = getattr(model.config, "vision_config", model.config)
        self._patch = pair(self._config.patch_size)
        self.grid = (image_size[0] // self._patch[0], image_size[1] // self._patch[1])
        self.heads = self._config.num_attention_heads
        self.classes = class_names(model)
        self.prefix, self.reading = self._family.prefix_length(self._config), self._family.reading(self._config)
        rows = CLS_ROWS if self.reading == "cls" else patch_rows(self.prefix)
        self._keeps: dict[Kept, str] = {
            "mean": HEAD_MEAN,
            "read": READ,
            "heads": EACH_HEAD,
            "cls": rows,
            "none": "sdpa",
        }
        self._blocks = _find_blocks(model, self._config.num_hidden_layers, name)
        self._reads = _first_norm(self._blocks[-1])
        alone = type(model).__name__ in CLS_ALONE and keys_and_values(self._blocks[-1])
        self._shortens = self._reads if alone else None  # the norm by which the last block can be cut to [CLS]
        self._tower: Any = getattr(model, "vision_model", model)
        speed_up(model)
        self._seen: dict[str, Any] = {}
        self._watch()
        self._tower.set_attn_implementation(HEAD_MEAN)

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self._model

    @property
    def gives(self) -> frozenset[Given]:
        """Attention probabilities; and the patches that the last block reads, where it begins with a norm."""
        return frozenset({"attention"} if self._reads is None else {"attention", "activations"})

    def _watch(self) -> None:
        """Keep, at every pass, what a model with a head does not hand out."""
        self._tower.register_forward_hook(partial(self._keep, "tower"))
        self._blocks[-1].register_forward_hook(partial(self._keep, "block"))
        if self.reading == "pooling head":  # torch's attention: hands its probabilities out, averaged over heads
            self._tower.head.attention.register_forward_hook(partial(self._keep, "query"))
        if self._reads is not None:
            self._reads.register_forward_hook(self._show_patches)

    def _keep(self, what: str, _module: nn.Module, _inputs: object, output: Any) -> None:
        self._seen[what] = output

    def _show_patches(self, _module: nn.Module, _inputs: object, tokens: Tensor) -> Tensor:
        """Hand the tokens on by way of the patches as maps, so that gradients with respect to these can be had."""
        if tokens.shape[1] != self.prefix + self.grid[0] * self.grid[1]:
            return tokens  # said where the pass is over
        maps = tokens[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)
        self._seen["patches"] = maps
        return torch.cat([tokens[:, : self.prefix], maps.flatten(2).transpose(1, 2)], dim=1)

    @contextmanager
    def _keeping(self, attention: Kept) -> Iterator[None]:
        """Attend, for a while, by the function that keeps this of the attention."""
        function = self._keeps[attention]
        if function == HEAD_MEAN:  # as it is
            yield
            return
        self._tower.set_attn_implementation(function)
        try:
            yield
        finally:
            self._tower.set_attn_implementation(HEAD_MEAN)

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"], attention: Kept = "mean") -> Output:
        """Images to logits, feature and attention. Raises InputError if not every layer gives its map."""
        pixels = normalised(images, self.mean, self.std, next(self.model.parameters()))
        short = attention == "read" and self._shortens is not None
        last = cls_row_only(self._blocks[-1], self._shortens) if short and self._shortens else nullcontext()
        with self._keeping(attention), last:
            outcome = self.model(**self._arguments(pixels), output_attentions=attention != "none")
        seen, self._seen = self._seen, {}
        maps = tuple(m for m in outcome.attentions or () if m is not None)
        if attention != "none" and len(maps) != len(self._blocks):
            raise InputError(
                f"'{self.name}' has {len(self._blocks)} layers but {len(maps)} attention maps came back, so a rollout "
                f"would be wrong. Use an architecture whose attention goes through transformers' AttentionInterface."
            )
        hidden = seen["block"] if isinstance(seen["block"], Tensor) else seen["block"][0]
        found = maps[-1].shape[-1] if short else hidden.shape[1]
        expected = self.prefix + self.grid[0] * self.grid[1]
        if found != expected:
            raise InputError(
                f"'{self.name}' has {found} tokens instead of {expected} ({self.prefix} and a patch grid of "
                f"{self.grid[0]}x{self.grid[1]}), so its map cannot be read. Give images of its input size, "
                f"{self.image_size[0]}x{self.image_size[1]}."
            )
        logits = getattr(outcome, "logits", None)
        return Output(
            logits=logits,
            feature=seen["tower"].pooler_output if self.reading == "pooling head" else self._read(hidden),
            attention=maps,
            prefix=self.prefix,
            grid=self.grid,
            tokens=None if short else hidden,
            representation=None if logits is not None else self._representation(seen["tower"]),
            activations=seen.get("patches"),
            readout=self._readout(seen, maps[-1]) if maps else None,
        )

    def _read(self, tokens: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch dim"]:
        return tokens[:, 0] if self.reading == "cls" else tokens[:, self.prefix :].mean(dim=1)

    def _representation(self, tower: Any) -> Float[Tensor, "batch dim"]:
        if self._family.pooled and tower.pooler_output is not None:
            return tower.pooler_output
        return self._read(tower.last_hidden_state)

    def _readout(self, seen: dict[str, Any], like: Tensor) -> Float[Tensor, "batch tokens"] | None:
        """The weights of the tokens that a map starts from; None for the [CLS] row."""
        if self.reading == "cls":
            return None
        if self.reading == "pooling head":
            return seen["query"][1][:, 0].to(like.dtype)
        weights = like.new_full((len(like), like.shape[-1]), 1 / (self.grid[0] * self.grid[1]))
        return weights.index_fill(1, torch.arange(self.prefix, device=like.device), 0)

    def _arguments(self, pixels: Float[Tensor, "batch 3 h w"]) -> dict[str, Any]:
        """What the model is called with."""
        if self._family.positions == "patches":
            return _patches(pixels, self.grid, self._patch)
        # the same number of patches in another grid has other positions, so sizes are compared, not numbers
        told = self._family.positions == "told" and pair(self._config.image_size) != self.image_size
        return {"pixel_values": pixels} | ({"interpolate_pos_encoding": True} if told else {})

    def learnable(self) -> dict[str, nn.Parameter]:
        """The query, key, value and output projections of every block, weights and biases, by parameter name."""
        chosen = {id(p) for block in self._blocks for linear in _projections(block) for p in linear.parameters()}
        return {name: p for name, p in self.model.named_parameters() if id(p) in chosen}

    def normalisation(self) -> str:
        """What is done to the levels of an image, in words."""
        return f"mean {self.mean}, SD {self.std}"

    def read_out(self) -> str:
        """Where a map of a model that is not read at [CLS] starts, in words; else empty."""
        return "" if self.reading == "cls" else WORDS[self.reading]

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (safetensors, config, preprocessor) that plain transformers loads."""
        self.model.save_pretrained(folder)
        kind, size = self._family.processor, {"height": self.image_size[0], "width": self.image_size[1]}
        processor = {"image_processor_type": kind, "do_resize": True, "size": size, "resample": 3, "do_rescale": True}
        if self._family.positions == "patches":
            processor |= {"patch_size": self._patch[0], "max_num_patches": self.grid[0] * self.grid[1]}
        processor |= {"rescale_factor": 1 / 255, "do_normalize": True}
        processor |= {"image_mean": list(self.mean), "image_std": list(self.std), "do_center_crop": False}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def _patches(pixels: Float[Tensor, "batch 3 h w"], grid: tuple[int, int], patch: tuple[int, int]) -> dict[str, Tensor]:
    """Images cut into patches, row by row, each as its pixels with the three colours side by side (SigLIP2 NaFlex)."""
    cut = pixels.unflatten(3, (grid[1], patch[1])).unflatten(2, (grid[0], patch[0]))
    flat = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    places = torch.tensor(grid, device=pixels.device).expand(len(pixels), 2)
    return {
        "pixel_values": flat,
        "pixel_attention_mask": flat.new_ones(flat.shape[:2], dtype=torch.long),
        "spatial_shapes": places,
    }


def _find_blocks(model: nn.Module, depth: int, name: str) -> list[nn.Module]:
    """The transformer blocks: the one list of modules as long as the configuration says."""
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth > 0]
    lists = [m for m in stacks if _projections(m[0])]
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

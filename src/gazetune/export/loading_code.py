"""The code in a model card that loads the model without gazetune; it runs as it stands, in the exported folder."""

import inspect
from collections.abc import Mapping
from typing import Any

from gazetune.backbones import Backbone, Output
from gazetune.backbones.vit import VisionTransformer

TRANSFORMERS = """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, {model}

folder = "."  # where this file lies
processor = AutoImageProcessor.from_pretrained(folder)
model = {model}.from_pretrained(folder, attn_implementation="eager").eval()
photo = Image.new("RGB", (640, 480), "grey")  # yours: Image.open("photo.jpg").convert("RGB")
pixels = processor(photo, return_tensors="pt")
with torch.no_grad():
    output = model(**pixels, output_attentions=True{extra})
print({answer})
"""
ROLLOUT = """
# the attention map: rollout of the head-averaged attention, {read}, patches only
row = torch.zeros(1, 1, output.attentions[0].shape[-1])
{start}
for layer in reversed(output.attentions):
    row = row @ (layer.mean(dim=1) + torch.eye(layer.shape[-1])) / 2
grid = row[:, :, {prefix}:].reshape(1, 1, {height}, {width})
large = torch.nn.functional.interpolate(grid, size=({size}, {size}), mode="bilinear", align_corners=False)
attention = ((large - large.min()) / (large.max() - large.min()))[0, 0]
print(attention.shape)
"""
# of a model read at [CLS], or at the mean of its patches: what the row is, and where it starts
CLS = ("the row of [CLS]", "row[..., 0] = 1")
MEAN = ("the mean of the patches' rows", "row[..., {prefix}:] = 1 / {patches}")
TIMM = """\
import timm
from safetensors.torch import load_file

model = timm.create_model("{architecture}", {arguments}).eval()
model.load_state_dict(load_file("{file}"))
"""
PLAIN = """\
from safetensors.torch import load_file

tensors = load_file("{file}")  # your own code takes these as it took `{file}` before
print(len(tensors), "tensors")
"""


def transformers_code(backbone: Backbone, output: Output, method: str, map_size: int) -> str:
    """Loading and answering and, where the map is a rollout that a few lines can compute, the map.

    output: what the backbone makes of any image. Not in a few lines: where the query of a pooling head reads the map,
    and where the processor hands patches over instead of an image.
    """
    model = backbone.model
    native = getattr(model.config, "image_size", backbone.image_size)
    native = (native, native) if isinstance(native, int) else tuple(native)
    stretches = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    extra = ", interpolate_pos_encoding=True" if stretches and native != tuple(backbone.image_size) else ""
    headed = output.logits is not None
    answer = "model.config.id2label[int(output.logits[0].argmax())]" if headed else "output.last_hidden_state.shape"
    code = TRANSFORMERS.format(model=type(model).__name__, extra=extra, answer=answer)
    if method != "rollout" or not isinstance(backbone, VisionTransformer):
        return code
    if backbone.reading == "pooling head" or type(model).__name__.startswith("Siglip2"):
        return code
    height, width = backbone.grid
    read, start = CLS if backbone.reading == "cls" else MEAN
    start = start.format(prefix=output.prefix, patches=height * width)
    return code + ROLLOUT.format(
        prefix=output.prefix, height=height, width=width, size=map_size, read=read, start=start
    )


def timm_code(file: str, made: tuple[str, Mapping[str, Any]]) -> str:
    """Loading into timm's own model, of the name and arguments that timm makes it by."""
    name, given = made
    arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
    return TIMM.format(architecture=name, arguments=arguments, file=file)


def plain_code(file: str) -> str:
    """Loading the tensors alone."""
    return PLAIN.format(file=file)

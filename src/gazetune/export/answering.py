"""model.onnx: a model with its preprocessing and its attention map, checked against PyTorch before anyone uses it."""

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gazetune.attention import METHODS
from gazetune.backbones import Backbone
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.errors import GazetuneError, InputError
from gazetune.maps import upsampled

OPSET = 18
TOLERANCE = 1e-4  # absolute, on logits (or feature) and on the map of 0..1
ONE_FILE_BYTES = 1_800_000_000  # protobuf ends at 2 GiB; weights beyond go into a file beside
FILE = "model.onnx"


def drawn_by(backbone: Backbone, method: str) -> str:
    """The method that a file can have in place of this one: no file has gradients, but a CNN's Grad-CAM needs none."""
    if method == "gradcam" and isinstance(backbone, ConvolutionalNetwork):
        return method
    return "rollout" if METHODS[method].gradient else method


class Answering(nn.Module):
    """A backbone as one module: uint8 RGB images in; class scores (or feature) and attention map, 0..1, out."""

    def __init__(self, backbone: Backbone, size: int, method: str = "rollout") -> None:
        super().__init__()
        self.model = backbone.model
        self.backbone, self.size, self.method = backbone, size, drawn_by(backbone, method)

    def forward(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch answers"], Float[Tensor, "batch size size"]]:
        """Normalisation, model, map, enlarging and scaling, all in the graph."""
        output = self.backbone(images)
        answer = output.feature if output.logits is None else output.logits
        if isinstance(self.backbone, ConvolutionalNetwork):
            return answer, upsampled(self.backbone.own_gradcam(output), self.size)
        return answer, upsampled(METHODS[self.method].of(output, None), self.size)

    def words(self) -> str:
        """What the map is."""
        whose = " of the class that the model itself predicts" if METHODS[self.method].gradient else ""
        return f"{METHODS[self.method].label}{whose}"


@dataclass(frozen=True)
class Checked:
    """What an ONNX file gives, and its largest absolute differences from PyTorch: images -> one for each output."""

    outputs: tuple[str, str]
    input_size: tuple[int, int]
    map_size: int
    opset: int
    largest: Mapping[str, tuple[float, float]]
    words: str = METHODS["rollout"].label  # what the map is

    def sentence(self) -> str:
        """The check in words."""
        first, second = self.outputs
        parts = [f"{n} ({first} {a:.1e}, {second} {b:.1e})" for n, (a, b) in self.largest.items()]
        return f"largest difference from PyTorch on {' and on '.join(parts)}; at most {TOLERANCE:.0e} is allowed"


def write_onnx(
    folder: Path, backbone: Backbone, map_size: int, photos: UInt8[Tensor, "image 3 height width"] | None,
    method: str = "rollout",
) -> Checked:  # fmt: skip
    """Write model.onnx and compare it with PyTorch, on noise and on photos; dynamic batch.

    photos: at the model's input size; None if the run no longer has any. method: of the map; the rollout in place of
    one that is made of gradients, but for a CNN's Grad-CAM, which then explains the model's own prediction.

    Raises:
        InputError: the extra `onnx` is not installed, or the model has no map that a file can have.
        GazetuneError: onnxruntime's answers differ by more than TOLERANCE; the file is then deleted.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as reason:
        raise InputError(f"ONNX needs an extra package ({reason}): pip install 'gazetune[onnx]'") from None
    module = Answering(backbone, map_size, method).eval()
    module.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (3, 3, *backbone.image_size), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        try:
            headed = backbone(noise[:1]).logits is not None
            module(noise[:1])
        except (IndexError, AttributeError, TypeError) as reason:
            raise InputError(
                f"An ONNX file cannot have a map of this model by {METHODS[method].label}; export it without --onnx."
            ) from reason
    outputs = ("logits" if headed else "feature", "attention")
    _export(module, noise[:2], folder / FILE, outputs)
    session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
    largest = {f"{len(noise)} images of noise": _differences(session, module, noise)}
    if photos is not None and len(photos):
        largest[f"{len(photos)} photos"] = _differences(session, module, photos)
    checked = Checked(outputs, backbone.image_size, map_size, OPSET, largest, module.words())
    if not all(value <= TOLERANCE for pair in largest.values() for value in pair):
        for path in folder.glob(f"{FILE}*"):
            path.unlink()
        raise GazetuneError(f"The ONNX file does not give what PyTorch gives and was deleted: {checked.sentence()}.")
    return checked


def _export(module: Answering, images: Tensor, path: Path, outputs: tuple[str, str]) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it names every package that is not installed
    bytes_ = sum(p.numel() * p.element_size() for p in module.parameters())
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (images,),
            input_names=["images"],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=65536)}},
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise GazetuneError("torch.onnx.export gave nothing.")
    height, width = module.backbone.image_size
    program.model.doc_string = (
        f"images: uint8 RGB [batch, 3, {height}, {width}], 0..255, squashed to this size (bicubic), not normalised. "
        f"{outputs[0]}: of the model. attention: {module.words()}, "
        f"bilinear to {module.size}x{module.size}, 0..1 an image."
    )
    program.save(path, external_data=bytes_ > ONE_FILE_BYTES)


def _differences(session: Any, module: Answering, images: Tensor) -> tuple[float, float]:
    """The largest absolute difference of both outputs; infinite where one has a NaN that the other has not."""
    with torch.no_grad():
        ours = [answer.numpy() for answer in module(images)]
    whole = session.run(None, {"images": images.numpy()})
    single = session.run(None, {"images": images[:1].numpy()})
    pairs = [(a, b, c) for a, b, c in zip(ours, whole, single, strict=True)]
    both = [max(_largest(a, b), _largest(a[:1], c)) for a, b, c in pairs]
    return both[0], both[1]


def _largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    return float(np.nanmax(np.abs(ours - theirs), initial=0.0))

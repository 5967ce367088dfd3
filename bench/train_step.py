"""A training step of ViT-B/16 on one batch, against plain implementations and the rate of matrix products, in turn.

    python bench/train_step.py --rounds 5 --precision fp32 bf16

Each round runs, in one process, on the same weights, photos and targets:
  gazetune   the step of `gazetune run`: rollout from one row, teacher's features computed once
  plain      the paper as one would write it down: Hugging Face eager attention with output_attentions, the full matrix
             products of the rollout, the teacher's forward pass in every step
  no maps    forward and backward with torch's fused attention, distillation alone: no map at all
  products   the matrix products of a block of ViT-B, forward and backward, as torch multiplies them
  best       in float32 on AMD: the same products by oneDNN, as gazetune multiplies them (backbones/products.py)
The optimiser's step is part of the first three. With --clock cpu the processor time of one thread is measured, which
holds on a machine that has other work.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from rows import Row, kept, paired, rows_option
from torch import Tensor
from torch.nn.functional import interpolate, mse_loss
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import ViTConfig, ViTForImageClassification

from gazetune.attention import METHODS
from gazetune.backbones.products import Product, onednn_is_faster, speed_up
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.training.loss import Part, loss_of
from gazetune.training.precision import autocast
from gazetune.training.settings import Training

SIDE, TOKENS, LAYERS, DIM, MLP, HEADS = 224, 197, 12, 768, 3072, 12


@dataclass
class Setting:
    """What every way of doing the step shares."""

    precision: str
    device: torch.device
    images: Tensor
    targets: Tensor
    weight: float = 0.7


def flop(batch: int) -> float:
    """Floating-point operations of the matrix products of a step: forward, gradients by inputs, by the learnt weights.

    No gradient by the first block's input is needed, since nothing before it learns; attention's products count twice
    backward.
    """
    rows = batch * TOKENS
    linear, learnt = 2 * rows * (4 * DIM * DIM + 2 * DIM * MLP), 2 * rows * 4 * DIM * DIM
    attention = 2 * 2 * batch * TOKENS * TOKENS * DIM
    embedding = 2 * batch * (TOKENS - 1) * DIM * 3 * 16 * 16
    return LAYERS * (2 * linear + learnt + 3 * attention) + embedding - 2 * rows * 3 * DIM * DIM


def vit() -> ViTForImageClassification:
    """ViT-B/16 with the same random weights every time, whose attention is as uneven as that of a trained model.

    As transformers draws them, attention is uniform but for 1 %, and a map scaled to 0..1 is half rounding.
    """
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(num_labels=1000)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight", "query.weight", "key.weight")):
                weight *= 3
    return model


def gazetune_step(setting: Setting) -> Callable[[], float]:
    """A step as `gazetune run` does it."""
    student = VisionTransformer(vit().to(setting.device), *HALF, (SIDE, SIDE), name="ViT-B/16")
    learnable = student.learnable()
    for name, parameter in student.model.named_parameters():
        parameter.requires_grad_(name in learnable)
    pixels, n = setting.images.cpu().numpy(), len(setting.images)
    with torch.no_grad():
        teacher = student(setting.images).feature.float().cpu()
    part = Part(pixels, np.arange(n), lambda index: setting.targets.cpu(), teacher)
    settings = Training(precision=setting.precision, lambda_attention=setting.weight)
    optimiser = torch.optim.AdamW(learnable.values(), lr=1e-5, fused=True)  # as training.loop does

    def step() -> float:
        loss = loss_of(student, part, np.arange(n), METHODS["rollout"], settings).total
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def _student(implementation: str, device: torch.device) -> tuple[ViTForImageClassification, torch.optim.Optimizer]:
    model = vit().to(device)
    model.set_attn_implementation(implementation)
    learnt = [p for name, p in model.named_parameters() if ".attention." in name]
    model.requires_grad_(False)
    for parameter in learnt:
        parameter.requires_grad_(True)
    return model, torch.optim.AdamW(learnt, lr=1e-5)


def _pixels(setting: Setting) -> Tensor:
    return setting.images.float() / 127.5 - 1


def plain_step(setting: Setting) -> Callable[[], float]:
    """The paper, written down plainly."""
    (student, optimiser), (teacher, _) = (_student("eager", setting.device) for _ in range(2))
    exact = setting.targets.dtype  # float64 where gradients are judged
    student, teacher = student.to(exact), teacher.to(exact)

    def step() -> float:
        pixels = _pixels(setting).to(exact)
        with autocast(setting.device, setting.precision):
            with torch.no_grad():
                wanted = teacher.vit(pixels).last_hidden_state[:, 0].to(exact)
            seen = student.vit(pixels, output_attentions=True)
        product = torch.eye(TOKENS, device=setting.device, dtype=exact)
        for attention in seen.attentions:
            mixed = attention.to(exact).mean(dim=1) + torch.eye(TOKENS, device=setting.device, dtype=exact)
            product = mixed / mixed.sum(-1, keepdim=True) @ product
        grid = product[:, 0, 1:].reshape(-1, 1, 14, 14)
        maps = interpolate(grid, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0].flatten(1)
        low, high = maps.min(1, keepdim=True).values, maps.max(1, keepdim=True).values
        maps = (maps - low) / (high - low)
        p, q = setting.targets.flatten(1) + 1e-10, maps + 1e-10
        p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
        divergence = (p * (p / q).log()).sum(1).mean()
        loss = mse_loss(seen.last_hidden_state[:, 0].to(exact), wanted) + setting.weight * divergence
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def step_without_maps(setting: Setting) -> Callable[[], float]:
    """Fused attention, a loss of the [CLS] state alone; in float32 its linear layers go by oneDNN where ours do."""
    student, optimiser = _student("sdpa", setting.device)
    speed_up(student)
    wanted = torch.zeros(len(setting.images), DIM, device=setting.device)

    def step() -> float:
        with autocast(setting.device, setting.precision):
            feature = student.vit(_pixels(setting)).last_hidden_state[:, 0]
        loss = mse_loss(feature.float(), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def products(setting: Setting, best: bool = False) -> Callable[[], float]:
    """The matrix products of a block's linear layers, forward and backward by inputs; returns operations."""
    kind = torch.bfloat16 if setting.precision == "bf16" else torch.float32
    rows = len(setting.images) * TOKENS
    narrow, wide = (torch.randn(rows, size, dtype=kind, device=setting.device) for size in (DIM, MLP))
    square, up = (torch.randn(size, DIM, dtype=kind, device=setting.device) for size in (DIM, MLP))

    def multiply() -> float:
        for _ in range(12):
            for _ in range(4):
                _times(narrow, square.T, best)  # a projection
                _times(narrow, square, best)  # its gradient by its inputs
            _times(wide, up, best)
            _times(narrow, up.T, best)
        return 12 * 2.0 * rows * DIM * (8 * DIM + 2 * MLP)

    return multiply


def _times(a: Tensor, b: Tensor, best: bool) -> Tensor:
    return Product.apply(a, b.T, None) if best else a @ b


def _timed(device: torch.device, work: Callable[[], float], clock: Callable[[], float]) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    before = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - before


def measure(
    precision: str, batch: int, rounds: int, device: torch.device, clock: Callable[[], float]
) -> tuple[list[Row], dict[str, float]]:
    """The rows, over rounds in each of which every way has its turn; the first losses of ours and of the plain way."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8).to(device)
    setting = Setting(precision, device, images, torch.rand(batch, SIDE, SIDE, generator=draw).to(device))
    ways = {
        "gazetune": gazetune_step(setting), "plain": plain_step(setting), "no maps": step_without_maps(setting),
        "products": products(setting),
    }  # fmt: skip
    if precision == "fp32" and device.type == "cpu" and onednn_is_faster():
        ways["best"] = products(setting, best=True)
    first = {name: work() for name, work in ways.items()}  # warm; the first step's loss is of the same weights
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            times[name].append(_timed(device, work, clock))
    item, own = f"training step of ViT-B/16, batch {batch}, {precision}", times["gazetune"]
    least = {"fp32": 0.88, "bf16": 0.75}[precision]
    rows = [
        paired(item, "plain, eager, full products", own, times["plain"], unit="s"),
        paired(item, "fused attention, no maps", own, times["no maps"], unit="s", at_most=1.0, slower=True),
        _share(item, "share of torch's products", own, times["products"], first["products"], batch, least),
    ]
    if "best" in ways:
        best = _share(item, "share of oneDNN's products", own, times["best"], first["best"], batch, least)
        rows.append(replace(best, aim=True))  # attention's own products are MKL's
    return rows, {name: first[name] for name in ("gazetune", "plain")}


def _share(
    item: str, against: str, own: list[float], taken: list[float], operations: float, batch: int, least: float | None
) -> Row:
    """The row of the step's rate as a share of a rate of products: the time its operations would take over its own."""
    ideal = [seconds * flop(batch) / operations for seconds in taken]
    return paired(item, against, own, ideal, unit="s", at_least=least)


def agreement(device: torch.device, batch: int = 2) -> list[Row]:
    """How far loss and gradient of a first step in float32 are from the plain way in float64, ours and the plain way's.

    The gradient of this loss is ill conditioned: pixels that nearly tie with the least of a map add 1e10 of their share
    with both signs, and what is left of it in float32 is rounding (docs/training.md).
    """
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8).to(device)
    targets = torch.rand(batch, SIDE, SIDE, generator=draw).to(device)
    single, double = (Setting("fp32", device, images, t) for t in (targets, targets.double()))
    truth, wanted = _first_gradients(plain_step, double)
    far = {}
    for name, way in {"ours": gazetune_step, "plain": plain_step}.items():
        loss, found = _first_gradients(way, single)
        names = [n for n in wanted if "k_proj.bias" not in n]  # 0 but for rounding
        gap = torch.stack([(found[n] - wanted[n]).norm() for n in names]).norm()
        size = torch.stack([wanted[n].norm() for n in names]).norm()
        far[name] = (abs(loss - truth) / abs(truth), (gap / size).item())
    item = "first step of ViT-B/16 in float32, relative distance from the plain one in float64"
    (loss, gradient), (theirs_loss, theirs) = far["ours"], far["plain"]
    return [
        Row(item, "loss, plain in float32", loss, theirs_loss, "", loss, loss, loss, 1, at_most=1e-5),
        Row(item, "gradient, plain in float32", gradient, theirs, "", *[gradient / theirs] * 3, 1, at_most=1.0),
    ]


def _first_gradients(
    way: Callable[[Setting], Callable[[], float]], setting: Setting
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of the first step, caught where the optimiser gets them."""
    caught: dict[str, Tensor] = {}
    names = [name for name, _ in vit().named_parameters() if ".attention." in name]

    def catch(optimiser: torch.optim.Optimizer, *_: object) -> None:
        learnt = [p for group in optimiser.param_groups for p in group["params"]]
        caught.update({n: p.grad.clone() for n, p in zip(names, learnt, strict=True) if p.grad is not None})

    hook = register_optimizer_step_pre_hook(catch)
    try:
        return way(setting)(), caught
    finally:
        hook.remove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--clock", choices=["elapsed", "cpu"], default="elapsed")
    rows_option(parser)
    options = parser.parse_args()
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.clock == "cpu":
        torch.set_num_threads(1)
    chosen = time.process_time if options.clock == "cpu" else time.perf_counter
    found = agreement(where)
    for precision in options.precision:
        rows, losses = measure(precision, options.batch, options.rounds, where, chosen)
        print(f"{precision}: first losses {losses}")
        found += rows
    for row in found:
        print(f"{row.item}, {row.against}: {row.value:.3g} ({row.low:.3g} to {row.high:.3g}), {row.ours:.3g} "
              f"against {row.theirs:.3g} {row.unit}, n = {row.n}, holds: {row.holds}")  # fmt: skip
    kept(found, options.rows)

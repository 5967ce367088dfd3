"""Attention maps of ViT-B/16, against the ways they are made today and against a forward pass without maps, in turn.

    python bench/maps.py [--images 1000] [--fp32-images 64] [--clock cpu]

Each batch of photos goes through all ways in this process, on the same weights, up to the map on the patch grid:
  gazetune   `METHODS["rollout"]`, as extraction and evaluation call it
  eager      transformers' eager attention with output_attentions, averaged over heads, and the full matrix products
  fast-vit-rollout   that package (discard_ratio=0: the same map; and as it comes, 0.9, on every eighth batch)
  no maps    a forward pass with torch's fused attention, logits alone
  products   the products of the linear layers alone, on every eighth batch: the floor with these
--images are in bf16, which is autocast, as in `gazetune run`. With --clock cpu the processor time of one thread is
measured, which a busy machine changes little.
"""

import argparse
import sys
import time
from collections.abc import Callable
from types import ModuleType

import torch
from jaxtyping import Float, UInt8
from rows import Row, kept, paired, rows_option
from torch import Tensor, nn
from transformers import AttentionInterface, ViTConfig, ViTForImageClassification

from gazetune.attention import METHODS
from gazetune.attention.rollout import rollout
from gazetune.backbones.families import normalised
from gazetune.backbones.products import speed_up
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.training.precision import autocast

SIDE, BATCH, RARELY = 224, 16, 8
CPU = torch.device("cpu")
OWN, EAGER, TOOL, TOOL_DEFAULT = "gazetune", "eager", "fast-vit-rollout", "fast-vit-rollout as it comes"
FUSED, PRODUCTS = "no maps", "products"
Images = UInt8[Tensor, "batch 3 side side"]
Grid = Float[Tensor, "batch grid_height grid_width"]
Way = Callable[[Images], object]


def photos(start: int, stop: int) -> Images:
    """Generated pixels, the same for the same numbers."""
    draw = torch.Generator().manual_seed(start)
    return torch.randint(0, 256, (stop - start, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)


def vit(folder: str | None, like: nn.Module | None = None) -> ViTForImageClassification:
    """ViT-B/16 with random weights, or that of a folder; of `like` it shares the weights."""
    if folder is not None:
        model = ViTForImageClassification.from_pretrained(folder)
    else:
        torch.manual_seed(0)
        model = ViTForImageClassification(ViTConfig(num_labels=1000))
    if like is not None:
        model.load_state_dict(like.state_dict(), assign=True)
    return model.eval()


def pixels(images: Images) -> Float[Tensor, "batch 3 side side"]:
    """Levels 0..255 as -1..1."""
    return images.float() / 127.5 - 1


def gazetune_way(backbone: VisionTransformer, precision: str) -> Way:
    """The rollout as the package makes it."""
    method = METHODS["rollout"]

    def way(images: Images) -> Grid:
        with autocast(CPU, precision):
            output = method.forward(backbone, images)
        return method.of(output, None)

    return way


def full_products(layers: tuple[Float[Tensor, "batch heads tokens tokens"], ...]) -> Grid:
    """Attention rollout (Abnar & Zuidema, 2020) written down plainly, in float32 or more."""
    exact = torch.promote_types(layers[0].dtype, torch.float32)
    unit = torch.eye(layers[0].shape[-1], dtype=exact)
    product = unit
    for layer in layers:
        mixed = layer.to(exact).mean(dim=1) + unit
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    side = int((len(unit) - 1) ** 0.5)
    return product[:, 0, 1:].unflatten(1, (side, side))


def eager_way(model: ViTForImageClassification, precision: str) -> Way:
    """Every head's probabilities from transformers, then the full products."""

    def way(images: Images) -> Grid:
        model.set_attn_implementation("eager")
        with autocast(CPU, precision):
            output = model(pixels(images), output_attentions=True)
        return full_products(output.attentions)

    return way


def fused_way(model: ViTForImageClassification, precision: str) -> Way:
    """Logits, without any map; in float32 the linear layers go by oneDNN where gazetune's do."""
    speed_up(model)

    def way(images: Images) -> Tensor:
        model.set_attn_implementation("sdpa")
        with autocast(CPU, precision):
            return model(pixels(images)).logits

    return way


def products_way(model: ViTForImageClassification, precision: str) -> Way:
    """The linear layers of the blocks but for what the last one does to other tokens than [CLS]."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    last = f".{model.config.num_hidden_layers - 1}."
    layers = [
        (module.weight.detach().to(kind), module.bias.detach().to(kind))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and ".layers." in name
        and (last not in name or name.endswith(("k_proj", "v_proj")))
    ]
    rows = {size: torch.randn(BATCH * 197, size).to(kind) for size in {weight.shape[1] for weight, _ in layers}}

    def way(images: Images) -> None:
        for weight, bias in layers:
            nn.functional.linear(rows[weight.shape[1]][: len(images) * 197], weight, bias)

    return way


def hooked_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float = 1.0, **_: object
) -> tuple[Tensor, None]:
    """Eager attention whose probabilities pass a module named attn_drop, where fast-vit-rollout listens."""
    probabilities = torch.softmax(query @ key.transpose(2, 3) * scaling, dim=-1, dtype=torch.float32).to(query.dtype)
    return (module.attn_drop(probabilities) @ value).transpose(1, 2).contiguous(), None


def exact_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float = 1.0, **_: object
) -> tuple[Tensor, Tensor]:
    """Eager attention in the precision of its inputs: transformers' own has a softmax in float32 even in float64."""
    probabilities = torch.softmax(query @ key.transpose(2, 3) * scaling, dim=-1)
    return (probabilities @ value).transpose(1, 2).contiguous(), probabilities


AttentionInterface.register("bench_hooked", hooked_attention)
AttentionInterface.register("bench_exact", exact_attention)


class InPrecision(nn.Module):
    """A model that computes in this precision, whoever calls it."""

    def __init__(self, model: nn.Module, precision: str) -> None:
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, given: Tensor) -> Tensor:
        """Its logits."""
        with autocast(CPU, self.precision):
            return self.model(given).logits


def tool_way(model: ViTForImageClassification, precision: str, discard: float) -> Way | None:
    """fast-vit-rollout; None, said so, where it is not installed.

    It imports torchvision for its command line alone, so an empty module of this name stands in while it is imported.
    It finds the dropout of timm's attention by name; transformers' has none, so a module of that name is put there.
    """
    missing = "torchvision" not in sys.modules
    if missing:
        sys.modules["torchvision"] = ModuleType("torchvision")
        sys.modules["torchvision"].transforms = None
    try:
        from fast_vit_rollout.vit_rollout import ViTAttentionRollout
    except ImportError as reason:
        print(f"left out: fast-vit-rollout ({reason}); pip install --no-deps fast-vit-rollout==0.1.1")
        return None
    finally:
        if missing:
            del sys.modules["torchvision"]
    model.set_attn_implementation("bench_hooked")
    for name, module in list(model.named_modules()):
        if name.endswith(".attention"):
            module.attn_drop = nn.Identity()
    tool = ViTAttentionRollout(InPrecision(model, precision), head_fusion="mean", discard_ratio=discard)

    def way(images: Images) -> Grid:
        return tool(pixels(images))[:, 0, 1:].unflatten(1, (14, 14))

    return way


def ways_of(folder: str | None, precision: str) -> dict[str, Way]:
    """Every way, on one set of weights."""
    own = vit(folder)
    plain = vit(folder, own)
    found = {
        OWN: gazetune_way(VisionTransformer(own, *HALF, (SIDE, SIDE), name="ViT-B/16"), precision),
        EAGER: eager_way(plain, precision),
        TOOL: tool_way(vit(folder, own), precision, 0.0),
        TOOL_DEFAULT: tool_way(vit(folder, own), precision, 0.9),
        FUSED: fused_way(vit(folder, own), precision),
        PRODUCTS: products_way(plain, precision),
    }
    return {name: way for name, way in found.items() if way is not None}


@torch.no_grad()
def measure(folder: str | None, precision: str, n: int, clock: Callable[[], float]) -> dict[str, dict[int, float]]:
    """Milliseconds an image of each way: number of the batch -> time."""
    ways = ways_of(folder, precision)
    times: dict[str, dict[int, float]] = {name: {} for name in ways}
    for way in ways.values():
        way(photos(0, BATCH))  # warm
    names = list(ways)
    for number, start in enumerate(range(0, n, BATCH)):
        images = photos(start, min(start + BATCH, n))
        turn = number % len(names)  # another one begins each time
        for name in names[turn:] + names[:turn]:
            if name in (TOOL_DEFAULT, PRODUCTS) and number % RARELY:
                continue
            before = clock()
            ways[name](images)
            times[name][number] = (clock() - before) * 1000 / len(images)
    return times


def rows_of(times: dict[str, dict[int, float]], precision: str, n: int) -> list[Row]:
    """The table's rows of one precision."""

    def row(against: str, **bounds: float | bool) -> Row:
        pairs = [(times[OWN][k], value) for k, value in times[against].items()]
        label = f"attention maps, {precision}, {min(n, BATCH * len(pairs)):,} images"
        return paired(label, against, *zip(*pairs, strict=True), unit="ms/image", **bounds)

    # out of reach where the linear layers alone take more than eager's time / 2.2 (the last row)
    bound: dict[str, float | bool] = {"at_least": 2.2, "aim": True} if precision == "bf16" else {}
    rows = [row(EAGER, **bound)]
    if TOOL in times:
        rows += [row(TOOL, **bound), row(TOOL_DEFAULT)]
    rows.append(row(FUSED, at_most=1.05, slower=True))
    rows.append(row(PRODUCTS, slower=True))
    pairs = [(value, times[EAGER][k]) for k, value in times[PRODUCTS].items()]
    label = f"linear layers alone, {precision}"
    return [*rows, paired(label, EAGER, *zip(*pairs, strict=True), unit="ms/image")]


@torch.no_grad()
def agreement(folder: str | None, n: int = 4) -> list[Row]:
    """The largest difference to full products in float64, as a share of the largest value of the maps."""
    images, rows, exact = photos(0, n), [], vit(folder).double()
    exact.set_attn_implementation("bench_exact")
    given = normalised(images, *HALF, torch.zeros((), dtype=torch.float64))  # in float32, as every way has them
    reference = full_products(exact(given, output_attentions=True).attentions)
    own = VisionTransformer(vit(folder), *HALF, (SIDE, SIDE), name="ViT-B/16")
    found = {name: gazetune_way(own, name)(images) for name in ("fp32", "bf16")}
    tool = tool_way(vit(folder), "fp32", 0.0)
    if tool is not None:
        found[f"fp32, {TOOL}"] = tool(images)
    own.model.double()
    found["float64"] = rollout(own(images, "read"))
    for name, maps in found.items():
        away = ((maps.double() - reference).abs().max() / reference.max()).item()
        against, bound = "full products in float64", {"fp32": 1e-5, "float64": 1e-12}.get(name)
        label = f"largest difference of {n} maps, {name}"
        rows.append(Row(label, against, float("nan"), float("nan"), "", away, away, away, n, at_most=bound))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="in bf16")
    parser.add_argument("--fp32-images", type=int, default=64)
    parser.add_argument("--clock", choices=["elapsed", "cpu"], default="elapsed")
    parser.add_argument("--model", metavar="FOLDER", help="a ViT with classes, in transformers' format")
    rows_option(parser)
    options = parser.parse_args()
    clock = time.perf_counter
    if options.clock == "cpu":  # for a busy machine
        torch.set_num_threads(1)
        clock = time.process_time
    rows = agreement(options.model)
    for row in rows:
        print(f"{row.item}: {row.value:.1e} of the largest value", flush=True)
    for precision, n in (("bf16", options.images), ("fp32", options.fp32_images)):
        if n:
            found = rows_of(measure(options.model, precision, n, clock), precision, n)
            for row in found:
                quartiles = f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f}), {row.n} batches"
                print(
                    f"{row.item} / {row.against}: {row.ours:.1f} and {row.theirs:.1f} {row.unit}, {quartiles}",
                    flush=True,
                )
            rows += found
    kept(rows, options.rows)


if __name__ == "__main__":
    main()

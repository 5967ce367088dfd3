"""The worlds of bench/growth.py: any number of images and photos that cost next to nothing to make."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification

from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.observers import Observers
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli, rows_of
from gazetune.data.synthetic import World, load_synthetic

SMALL = 64  # images of the world whose time is start-up; scenes drawn; images that are trained on beside those scored
PIXELS, KINDS = 32, 10
PHOTOS, WEIGHTS = "photos", "weights"


def world(n: int, split: Sequence[str]) -> Stimuli:
    """n + SMALL images: the scenes of the generated world in turn, each time with other fixations and another name."""
    total = n + len(split)
    scenes = load_synthetic(World(images=SMALL, width=128, height=96, observers=Observers(count=2, fixations=5)))
    index = np.arange(total) % SMALL
    rows, offsets = rows_of(scenes.offsets, index)
    seen = scenes.fixations.take(rows)
    rng = np.random.default_rng(0)
    columns = {"x": (seen.x, 128), "y": (seen.y, 96)}
    moved = {
        name: np.clip(values + rng.normal(0, 4, len(seen)), 0, side - 1).astype(np.float32)
        for name, (values, side) in columns.items()
    }
    pictures = [scenes.pixels(i) for i in range(SMALL)]

    def objects(image: str) -> tuple[ObjectMask, ...]:
        return scenes.find_objects(scenes.ids[int(image) % SMALL]) if scenes.find_objects else ()

    return Stimuli(
        name="synthetic",
        ids=tuple(f"{i:06d}" for i in range(total)),
        width=scenes.width[index],
        height=scenes.height[index],
        fixations=Fixations(**moved, observer=seen.observer),
        offsets=offsets,
        paths=(None,) * total,
        render=lambda image: pictures[int(image) % SMALL],
        find_objects=objects,
        given_split=(*split, *["test"] * n),
    )


def small_vit(folder: Path) -> None:
    """A ViT of 16 patches and three layers with random weights."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    model = ViTForImageClassification(ViTConfig(**shape, image_size=PIXELS, patch_size=8, num_labels=KINDS))
    VisionTransformer(model, *HALF, (PIXELS, PIXELS), name="small").save(folder / WEIGHTS)


def labelled_photos(folder: Path, n: int) -> None:
    """n photos in folders by class; 64 files under many names."""
    rng, drawn = np.random.default_rng(0), folder / "drawn"
    drawn.mkdir()
    for i in range(SMALL):
        Image.fromarray(rng.integers(0, 255, (PIXELS, PIXELS, 3), dtype=np.uint8)).save(drawn / f"{i}.png")
    for i in range(n):
        place = folder / PHOTOS / f"class{i % KINDS}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(drawn / f"{i % SMALL}.png", place / f"{i:06d}.png")

"""Does the loader keep the model busy? A whole evaluation against the model alone on cached tensors, in turn.

    python bench/parity.py --images 384 --blocks 6

Generated JPEG photos of 500 x 375 pixels, read, squashed, cropped and classified as `gazetune parity` does it, shards
written to disk, against the same model on tensors that lie ready in memory, the same batches. ViT-B/16 with random
weights (or --weights). Both in this process, block by block in turn; images a second, medians, and the quartiles of the
ratio. The corruptions against imagecorruptions: bench/corruptions.py.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rows import kept, paired, rows_option
from transformers import ViTConfig, ViTForImageClassification

from gazetune.backbones import Backbone, load_backbone
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.labelled import Labelled, load_image_folder
from gazetune.data.synthetic import World, load_synthetic
from gazetune.parity.predict import write_answers
from gazetune.parity.settings import Classification
from gazetune.parity.views import batches_of, viewer, workers
from gazetune.run import Run

KINDS = 10


def vit_b16() -> Backbone:
    """ViT-B/16 of the paper's shape with random weights."""
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(num_labels=1000))
    return VisionTransformer(model, *HALF, (224, 224), name="ViT-B/16")


def photos(folder: Path, n: int) -> Labelled:
    """n drawn scenes as JPEG files in class folders."""
    world = load_synthetic(World(images=min(n, 64), width=500, height=375))
    scenes = [Image.fromarray(world.pixels(i)) for i in range(min(n, 64))]
    for i in range(n):
        place = folder / f"class{i % KINDS}"
        place.mkdir(exist_ok=True)
        scenes[i % len(scenes)].save(place / f"{i:05d}.jpg", quality=90)
    return load_image_folder(folder)


def rates(backbone: Backbone, labelled: Labelled, run: Run, batch_size: int, workers: int) -> tuple[float, float]:
    """Images a second of the model alone and of the whole evaluation, on the same images."""
    settings = Classification(kind="folder", path="photos")
    n, size = len(labelled), backbone.image_size
    view = viewer(labelled, settings, size, skip_bad=False)
    parts = [range(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]
    cached = [batch.images for batch in batches_of(view, parts, size, workers)]
    start = time.perf_counter()
    with torch.no_grad():
        for images in cached:
            backbone(images, attention="none")
    alone = time.perf_counter() - start
    start = time.perf_counter()
    right = labelled.answers
    write_answers(run, "predictions/bench/model", str(start), backbone, view, right, n, batch_size, workers)
    return n / alone, n / (time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=workers())
    rows_option(parser)
    parser.add_argument("--weights", help="a folder or hub name; ViT-B/16 with random weights if not given")
    options = parser.parse_args()
    model = load_backbone(options.weights) if options.weights else vit_b16()
    if torch.cuda.is_available():
        model.model.to("cuda")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        images = photos(folder, options.images)
        found = []
        for block in np.array_split(np.arange(len(images)), options.blocks):
            found.append(
                rates(model, images.take(block), Run(Path(place) / "run"), options.batch_size, options.workers)
            )
    alone, whole = np.array(found).T
    low, middle, high = np.quantile(whole / alone, [0.25, 0.5, 0.75])
    print(f"model alone {np.median(alone):.1f} images/s, whole evaluation {np.median(whole):.1f} images/s")
    print(f"ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f}); needed: at least .85")
    # the times of an image; the ratio of the rates is theirs / ours
    name = "a given model" if options.weights else "ViT-B/16"
    item, against = f"classification from files, {name}, an image", "the model alone on tensors in memory"
    kept([paired(item, against, 1e3 / whole, 1e3 / alone, at_least=0.85)], options.rows)

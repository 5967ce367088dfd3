"""Ready-made saliency maps for `gazetune compare --maps`: local contrast, what one would try before any model.

    python scripts/make_contrast_maps.py PHOTOS OUT

One grey PNG a photo, named as the photo: the standard deviation of luminance under a Gaussian window of 1/40 of the
width, smoothed by the same window, scaled to 0..255. A photo takes about 0.1 s.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


def contrast(luminance: np.ndarray) -> np.ndarray:
    """Local standard deviation of a grey image, 0..255."""
    sigma = luminance.shape[1] / 40
    variance = gaussian_filter(luminance**2, sigma) - gaussian_filter(luminance, sigma) ** 2
    found = gaussian_filter(np.sqrt(np.maximum(variance, 0)), sigma)
    return np.round(255 * found / max(found.max(), 1e-9)).astype(np.uint8)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    photos, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for p in photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        grey = np.asarray(Image.open(path).convert("L"), dtype=np.float64)
        Image.fromarray(contrast(grey)).save(out / f"{path.stem}.png")

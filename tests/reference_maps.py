"""Fifty real OSIE images as plain numpy arrays: what the stored numbers of pysaliency were computed from."""

from functools import partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from gazetune import load_osie
from gazetune.maps import grid_points
from gazetune.metrics.saliency import auc_judd, cc, kl, nss, sauc, sim

IMAGES, SIZE, SIGMA_PX = 50, 224, 15.0
NOISE = 0.3


def reference_maps(folder):
    """Attention, density (0..1, float64) and fixations per pixel of the first 50 images, each [image, 224, 224].

    The attention map is the next image's density (wrapping) with noise between its pixels, so that no values tie.
    Blurred by scipy alone: a change of our own filter cannot change the inputs.
    """
    points = grid_points(load_osie(folder)[:IMAGES], size=SIZE)
    counts = np.zeros((IMAGES, SIZE, SIZE), dtype=np.int64)
    np.add.at(counts, (np.repeat(np.arange(IMAGES), np.diff(points.offsets)), points.row, points.column), 1)
    density = np.stack([unit(gaussian_filter(c.astype(float), SIGMA_PX, mode="constant")) for c in counts])
    noise = np.random.default_rng(0).random(density.shape)
    attention = np.stack([unit(m) for m in np.roll(density, -1, axis=0) + NOISE * noise])
    return attention, density, counts


def unit(values):
    """Shifted and scaled to 0..1."""
    return (values - values.min()) / (values.max() - values.min())


# pysaliency's name -> our function with the arguments that follow its convention, and what it takes
CONVENTIONS = {
    "CC": (cc, ("attention", "density")),
    "NSS": (partial(nss, ddof=0, duplicates=True), ("attention", "fixations")),
    "SIM": (sim, ("attention", "density")),
    "MIT_KLDiv": (partial(kl, mit=True), ("attention", "density")),
    "AUC": (partial(auc_judd, duplicates=True, negatives="all"), ("attention", "fixations")),
    "AUC_Judd": (partial(auc_judd, duplicates=True, negatives="rest", mit=True), ("attention", "fixations")),
    "sAUC": (partial(sauc, duplicates=True), ("attention", "fixations", "others")),
}


def needed(attention, density, counts):
    """What our metrics take: tensors by name."""
    fixations = torch.from_numpy(counts).double()
    others = fixations.sum(0) - fixations  # the negatives of an image are the fixations of all other images
    given = {"attention": torch.from_numpy(attention), "density": torch.from_numpy(density)}
    return {**given, "fixations": fixations, "others": others}

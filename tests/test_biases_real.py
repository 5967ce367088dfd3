"""The paper's rules on real annotations. Skipped where they, or the packages that read them, are not there."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import data_folder
from gazetune.biases import ANIMACY, OBJECT_SIZE
from gazetune.biases.measure import measure
from gazetune.biases.regions import painted
from gazetune.biases.selection import exclusions, left_out
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli

pytestmark = pytest.mark.slow
ANIMATE = {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}


def test_the_animacy_rule_selects_the_papers_number_of_images():
    pytest.importorskip("pyarrow")
    boxes = pd.read_parquet(data_folder("coco_boxes_for_salicon") / "boxes.parquet").query("split == 'val'")
    names = sorted(set(boxes["image_id"]))
    objects = pd.DataFrame(
        {
            "position": boxes["image_id"].map({n: i for i, n in enumerate(names)}),
            "category": boxes["category"],
            "animate": boxes["category"].isin(ANIMATE).astype("boolean"),
            "area_px2": boxes["width"] * boxes["height"],
            "cells": 1,  # boxes tell nothing of what covers what
        }
    )
    assert len(names) == 5000 and (objects["position"].value_counts() >= 2).sum() == 4994
    flow = exclusions(objects, 5000, ANIMACY).query("unit == 'images'")
    assert flow["n"].iloc[-1] == 2619 and flow["n"].iloc[0] == 5000
    assert pd.isna(left_out(objects, 5000, OBJECT_SIZE)).sum() == 2903


@pytest.fixture(scope="module")
def coco():
    """58 SALICON images with their COCO outlines; crowds are left out."""
    outlines = pytest.importorskip("gazetune.data.outlines", exc_type=ImportError)
    given = json.loads((data_folder("salicon_coco") / "instances.json").read_text())
    categories = {c["id"]: c["name"] for c in given["categories"]}
    known: dict[str, list[ObjectMask]] = {str(i["id"]): [] for i in given["images"]}
    for a in given["annotations"]:
        if a["iscrowd"]:
            continue
        corners = [np.asarray(p, dtype=float).reshape(-1, 2) for p in a["segmentation"]]
        category, area = categories[a["category_id"]], float(a["area"])
        whole, box = partial(outlines.outlined, corners, 480, 640), partial(outlines.outlined_crop, corners, 480, 640)
        one = ObjectMask(str(a["id"]), category, area, category in ANIMATE, whole, box)
        known[str(a["image_id"])].append(one)
    n, none = len(known), np.zeros(0)
    sides = (np.full(n, 640), np.full(n, 480))
    fixations, offsets = Fixations(none, none, none.astype(int)), np.zeros(n + 1, int)
    find = {image: tuple(of) for image, of in known.items()}.__getitem__
    return Stimuli("coco", tuple(known), *sides, fixations, offsets, (None,) * n, find_objects=find)


def test_a_box_gives_the_pixels_of_the_whole_mask(coco):
    for item in coco:
        for one in item.objects:
            top, left, pixels = one.crop()
            whole = np.zeros((480, 640), dtype=bool)
            whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
            assert np.array_equal(whole, one.mask), one


def test_painters_canvas_of_real_masks(coco):
    lines, columns = (np.floor((np.arange(224) + 0.5) * n / 224).astype(int) for n in (480, 640))
    for item in coco:
        canvas = np.full((480, 640), -1)
        for k in sorted(range(len(item.objects)), key=lambda k: -item.objects[k].area_px2):
            canvas[item.objects[k].mask] = k
        assert np.array_equal(painted(item, 224), canvas[np.ix_(lines, columns)])


def test_selection_on_real_masks(coco):
    ramp = torch.linspace(0, 1, 224 * 224).view(1, 224, 224)
    objects = measure(coco, {"ramp": lambda index: ramp.expand(len(index), -1, -1)}, entropy=False).objects
    assert (np.bincount(objects["position"], minlength=58) >= 2).sum() == 57
    steps = exclusions(objects, 58, ANIMACY).query("unit == 'images'")
    assert steps["n"].iloc[3] == 27  # by annotation, as in the data's own notes

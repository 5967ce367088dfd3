"""COCO's objects: real masks, the paper's canvas, and every bad annotation named or counted."""

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools import mask as rle

import salicon_world as world
from conftest import data_folder
from gazetune.biases.regions import painted
from gazetune.data.canvas import canvas, nearest
from gazetune.data.coco import AMBIGUOUS, ANIMATE, fits_animacy_rule, image_number, load_coco
from gazetune.data.faults import Faults
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.data.stimuli import ObjectMask
from gazetune.errors import InputError

SIZE = (480, 640)


def one(tmp_path, *annotations, faults=None, **options):
    file = world.write_instances(tmp_path / "instances_val2014.json", 3, list(annotations))
    return load_coco([file], dict.fromkeys((1, 2, 3), SIZE), faults=faults, **options)


def test_polygons_run_lengths_and_several_parts(tmp_path):
    triangle = {"segmentation": [[100, 100, 104, 100, 104, 104, 100, 104], [200, 50, 210, 50, 210, 60, 200, 60]]}
    runs = [480 * 7 + 3, 5, 480 * 640 - 480 * 7 - 8]  # column 7, rows 3 to 7: run lengths go down the columns
    drawn = np.zeros(SIZE, dtype=np.uint8, order="F")
    drawn[10:13, 20:30] = 1
    packed = rle.encode(drawn)
    found = one(
        tmp_path,
        world.box(1, **triangle),
        world.box(1, 44, segmentation={"size": [480, 640], "counts": runs}),
        world.box(2, 72, segmentation={"size": [480, 640], "counts": packed["counts"].decode()}),
    ).found
    parts, column, box = found[1][0].mask, found[1][1].mask, found[2][0].mask
    assert parts.shape == SIZE and parts.dtype == bool
    assert parts.sum() == 16 + 100 and parts[100:104, 100:104].all() and parts[50:60, 200:210].all()
    assert column.sum() == 5 and column[3:8, 7].all()
    assert np.array_equal(box, drawn.astype(bool))
    assert [o.category for o in (*found[1], *found[2])] == ["person", "bottle", "tv"]
    assert [o.animate for o in (*found[1], *found[2])] == [True, False, None]
    assert found[1][0].id == "9001" and found[1][0].area_px2 == 1200.0 and found[3] == ()


def test_crowds_are_left_out_and_named_or_included(tmp_path):
    crowd = world.box(1, crowd=1, segmentation={"size": [480, 640], "counts": [0, 10, 480 * 640 - 10]})
    found = one(tmp_path, crowd, world.box(1, id=1))
    assert len(found.found[1]) == 1 and len(found.crowds) == 1 and "annotation 9001" in found.crowds[0]
    included = one(tmp_path, crowd, world.box(1, id=1), crowds="include")
    assert len(included.found[1]) == 2 and included.crowds == ()


def test_files_are_joined_by_image_number(tmp_path):
    first = world.write_instances(tmp_path / "instances_train2014.json", 0, [world.box(2, id=1)], numbers=[2, 900])
    second = world.write_instances(tmp_path / "instances_train2017.json", 3, [world.box(2, id=2), world.box(3, id=3)])
    unneeded = world.write_instances(tmp_path / "instances_val2014.json", 0, [world.box(901)], numbers=[901])
    found = load_coco([first, second, unneeded], dict.fromkeys((1, 2, 3, 4), SIZE))
    assert {n: [o.id for o in of] for n, of in found.found.items()} == {1: [], 2: ["1"], 3: ["3"]}
    assert found.used == (first, second)
    assert image_number("COCO_val2014_000000000042.jpg") == image_number("000000000042.jpg") == 42
    with pytest.raises(InputError, match="not named as COCO names images"):
        image_number("holiday.jpg")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"segmentation": None}, "annotation without segmentation"),
        ({"segmentation": []}, "annotation without segmentation"),
        ({"segmentation": [[1, 1, 9, 9]]}, "polygon of fewer than 3 points"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9], [5, 5]]}, "polygon of fewer than 3 points"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9, 4]]}, "polygon of fewer than 3 points"),
        ({"segmentation": [[1, 1, 9, 1, 9, "b"]]}, "polygon that is not numbers"),
        ({"segmentation": {"size": [640, 480], "counts": [307200]}}, "run-length mask of another size"),
        ({"segmentation": {"size": [480, 640], "counts": [307199]}}, "run-length mask of another size"),
        ({"segmentation": {"size": [480, 640]}}, "run-length mask without counts"),
        ({"category_id": 4711}, "unknown category"),
        ({"area": None}, "annotation with a missing field"),
    ],
)
def test_a_bad_annotation_is_named_or_counted(tmp_path, change, kind):
    bad = world.box(2, **change)
    with pytest.raises(InputError, match=rf"instances_val2014\.json', image 2, annotation 9002: {kind}.*--skip-bad"):
        one(tmp_path, bad, world.box(2, id=5))
    faults = Faults(skip_bad=True)
    found = one(tmp_path, bad, world.box(2, id=5), faults=faults).found
    assert [o.id for o in found[2]] == ["5"] and faults.count == 1 and list(faults.left_out) == [kind]


def test_bad_files_are_named(tmp_path):
    file = world.write_instances(tmp_path / "instances_val2014.json", 3, [world.box(2)])
    sizes = dict.fromkeys((1, 2, 3), SIZE)
    content = json.loads(file.read_text())
    with pytest.raises(InputError, match=r"image 1: image of another size \(640x480, the data set has 500x480\)"):
        load_coco([file], {1: (480, 500)})
    whole = file.read_text()
    file.write_text(whole[: whole.index('"categories"')])
    with pytest.raises(InputError, match=r"instances_val2014\.json': file cut short"):
        load_coco([file], sizes)
    faults = Faults(skip_bad=True)
    assert load_coco([file], sizes, faults=faults).found == {} and faults.count == 1
    file.write_text(json.dumps({k: v for k, v in content.items() if k != "categories"}))
    with pytest.raises(InputError, match="has no 'categories'"):
        load_coco([file], sizes)
    file.write_text(json.dumps(dict(reversed(content.items()))))  # the order of the lists does not matter
    assert len(load_coco([file], sizes).found[2]) == 1


def objects_of(*masks):
    return [ObjectMask(str(k), "x", float(m.sum()), None, lambda m=m: m) for k, m in enumerate(masks)]


def test_small_objects_stay_on_top():
    large, small = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    large[:, :4], small[1:3, 1:6] = True, True
    for order in ((small, large), (large, small)):
        shown = canvas(objects_of(*order), 4, 6)
        which = next(k + 1 for k, m in enumerate(order) if m is small)
        assert (shown[1:3, 1:6] == which).all() and (shown[0, :4] == 3 - which).all() and shown[0, 5] == 0
    assert (canvas([], 4, 6) == 0).all()


def by_fractions(pixels, size):
    """Nearest neighbour in exact arithmetic, pixel by pixel."""
    places = [[math.floor((i + Fraction(1, 2)) * old / size) for i in range(size)] for old in pixels.shape]
    return np.array([[pixels[y, x] for x in places[1]] for y in places[0]])


def test_nearest_is_exact_and_that_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 9, (480, 640)).astype(np.int32)
    for size in (60, 224):
        assert np.array_equal(nearest(pixels, size), by_fractions(pixels, size))
    square = pixels[:, :480]  # from 480 to 224 no pixel lies on a border, where Pillow's sums of floats may go wrong
    assert np.array_equal(nearest(square, 224), Image.fromarray(square).resize((224, 224), Image.Resampling.NEAREST))
    assert nearest(np.array([[1, 2, 3, 4]]), (1, 2)).tolist() == [[2, 4]]  # pixels floor(0.5 * 2) and floor(1.5 * 2)


def slow_canvas(annotations, size):
    """Pixel by pixel, from the annotation file itself: the smallest object that covers a pixel, the later of equals."""
    best, shown = np.full(size, np.inf), np.zeros(size, dtype=int)
    for k, annotation in enumerate(annotations):
        polygons = rle.frPyObjects(annotation["segmentation"], *size)
        covered = rle.decode(polygons).any(axis=2)
        for y, x in np.argwhere(covered):
            if annotation["area"] <= best[y, x]:
                best[y, x], shown[y, x] = annotation["area"], k + 1
    return shown


@pytest.fixture(scope="module")
def real():
    folder = data_folder("salicon_coco")
    return load_salicon(folder), json.loads((folder / "instances.json").read_text())


def test_the_real_masks(real):
    stimuli, _ = real
    everything = load_salicon(data_folder("salicon_coco"), Salicon(crowds="include"))
    assert len(stimuli) == 58 and sum(len(one.objects) for one in everything) == 624
    assert len(stimuli.left_out["crowd annotation"]) == 7
    ratio = [o.decode().sum() / o.area_px2 for one in everything for o in one.objects]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
    categories = [{o.category for o in one.objects} for one in stimuli]
    assert sum(map(fits_animacy_rule, categories)) == 27
    assert sum(len(one.objects) >= 2 for one in stimuli) == 57
    assert all(one.path.is_file() for one in stimuli) and stimuli.given_split.count("test") == 35


@pytest.mark.parametrize("n", [4, pytest.param(58, marks=pytest.mark.slow)])
def test_the_canvas_of_real_images_pixel_for_pixel(real, n):
    stimuli, content = real
    most = sorted(stimuli, key=lambda one: len(one.objects))[-n:]  # the fullest images: most overlap
    assert len(most) == n
    for one in most:
        annotations = [a for a in content["annotations"] if a["image_id"] == image_number(one.id) and not a["iscrowd"]]
        shown = canvas(one.objects, one.height, one.width)
        assert np.array_equal(shown, slow_canvas(annotations, SIZE)), one.id
        assert np.array_equal(nearest(shown, 224), by_fractions(shown, 224))
        assert np.array_equal(painted(one, 224) + 1, nearest(shown, 224))  # what the bias analyses look at


def test_the_rule_of_the_paper_selects_2619_images():
    boxes = pd.read_parquet(data_folder("coco_boxes_for_salicon") / "boxes.parquet")
    boxes = boxes[boxes["split"] == "val"]
    per_image = boxes.groupby("image_id")["category"].agg(set)
    assert len(per_image) == 5000
    assert int(per_image.map(fits_animacy_rule).sum()) == 2619
    count = boxes.groupby("image_id").size()
    assert int((count >= 2).sum()) == 4994
    area = (boxes["width"] * boxes["height"]).groupby(boxes["image_id"])
    assert int(((area.min() < 1024) & (area.max() > 9216)).sum()) == 2903
    assert set(ANIMATE) <= set(boxes["category"]) and set(AMBIGUOUS) <= set(boxes["category"])

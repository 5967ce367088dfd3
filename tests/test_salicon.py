"""SALICON's readers: every form gives the same points, and every bad record is named or counted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import salicon_world as world
from conftest import data_folder
from gazetune.data import read
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.data.salicon_json import kept_name
from gazetune.data.stimuli import Fixations
from gazetune.data.table import load_table
from gazetune.errors import InputError
from gazetune.loading import parse
from gazetune.maps import densities, grid_points
from gazetune.metrics.consistency import consistency
from gazetune.metrics.information import entropy_bits
from gazetune.metrics.saliency import cc
from gazetune.run import Run
from worlds import gazetune, run_small

SAMPLES = Salicon(edition=2015, gaze="samples")
JSON = "fixations_val2014.json"


def pairs(stimulus):
    return sorted(zip(stimulus.fixations.x.tolist(), stimulus.fixations.y.tolist(), strict=True))


def expected(of_image):
    return sorted(map(tuple, of_image.reshape(-1, 2).tolist()))


def test_the_json_is_row_and_column_from_1(tmp_path):
    seen = world.gaze()
    world.write_json(tmp_path / JSON, seen)
    stimuli = load_salicon(tmp_path, SAMPLES)
    assert stimuli.ids == tuple(world.names(12)) and stimuli.fixations.x.dtype == stimuli.fixations.y.dtype == np.int16
    assert [pairs(one) for one in stimuli] == [expected(of_image) for of_image in seen]
    assert sorted(set(stimuli[3].fixations.observer.tolist())) == [0, 1, 2]
    assert stimuli[0].width == 640 and stimuli[0].height == 480 and stimuli[0].path is None
    # by hand: row 21, column 31 is the pixel (30, 20)
    world.edit(tmp_path / JSON, lambda c: c["annotations"][0].update(fixations=[[21, 31]]))
    assert (30, 20) in pairs(load_salicon(tmp_path, SAMPLES)[0])


def test_the_mat_files_are_x_and_y_from_1(tmp_path):
    seen = world.gaze()
    world.write_mat(tmp_path / "fixations" / "val", seen)
    fixations = load_salicon(tmp_path, Salicon(edition=2017, gaze="fixations"))
    assert [pairs(one) for one in fixations] == [expected(of_image) for of_image in seen]
    assert fixations[0].fixations.order.tolist() == [*range(20)] * 3
    samples = load_salicon(tmp_path, Salicon(edition=2017, gaze="samples"))
    assert samples.n_fixations.tolist() == [3 * 23] * 12
    # nobody is known to be the same on two images
    assert not set(samples[0].fixations.observer.tolist()) & set(samples[1].fixations.observer.tolist())
    assert fixations.fingerprint() != samples.fingerprint()


def test_one_worker_and_one_point_survive_matlab(tmp_path):
    seen = world.gaze(n=1, workers=1, points=1)
    world.write_mat(tmp_path, seen)
    one = load_salicon(tmp_path, Salicon(edition=2015, gaze="fixations"))[0]
    assert pairs(one) == expected(seen[0])


def test_pictures_of_points_are_one_observer(tmp_path):
    seen = world.gaze()
    world.write_points(tmp_path / "fixation_points", seen)
    stimuli = load_salicon(tmp_path)
    assert [pairs(one) for one in stimuli] == [sorted(set(expected(of_image))) for of_image in seen]
    assert set(stimuli.fixations.observer.tolist()) == {0}


def test_train_and_val_are_joined_and_split(tmp_path):
    for split, seed in (("train", 1), ("val", 2)):
        seen = world.gaze(n=40, seed=seed)
        world.write_json(tmp_path / f"fixations_{split}2014.json", seen, split)
    stimuli = load_salicon(tmp_path, SAMPLES)
    assert len(stimuli) == 80 and stimuli.n_fixations.tolist() == [60] * 80
    assert pairs(stimuli[40]) == expected(world.gaze(n=40, seed=2)[0])
    assert set(stimuli.fixations.observer.tolist()) == {0, 1, 2}  # the same workers in both files
    assert set(stimuli.given_split[:40]) == {"train", "validation"} and set(stimuli.given_split[40:]) == {"test"}


def test_edition_and_gaze_must_be_named(tmp_path):
    world.write_json(tmp_path / JSON, world.gaze())
    with pytest.raises(InputError, match=r"Name edition and gaze.*salicon\.yaml"):
        load_salicon(tmp_path)
    with pytest.raises(InputError, match="hold mouse samples, though they are called fixations"):
        load_salicon(tmp_path, Salicon(edition=2015, gaze="fixations"))
    with pytest.raises(InputError, match="edition 2017"):
        load_salicon(tmp_path, Salicon(edition=2017, gaze="samples"))
    (tmp_path / "salicon.yaml").write_text("edition: 2015\ngaze: samples\n")
    assert len(load_salicon(tmp_path)) == len(read("salicon", tmp_path)) == 12
    world.write_points(tmp_path / "fixation_points", world.gaze())
    assert load_salicon(tmp_path).n_fixations.tolist() == [60] * 12  # of the two, only the JSON holds samples
    assert set(load_salicon(tmp_path, Salicon(gaze="fixations")).fixations.observer.tolist()) == {0}
    (tmp_path / "salicon.yaml").unlink()
    with pytest.raises(InputError, match=r"holds json and points\. Say which is meant"):
        load_salicon(tmp_path)
    with pytest.raises(InputError, match=r"holds json and points; asked for was form mat\."):
        load_salicon(tmp_path, Salicon(form="mat"))
    with pytest.raises(InputError, match="No SALICON in"):
        load_salicon(tmp_path / "..", SAMPLES)
    (tmp_path / "salicon.yaml").write_text("edition: 2016\n")
    with pytest.raises(InputError, match="may say edition"):
        load_salicon(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "salicon", "options": {"edition": 2016}}, "edition"),
        ({"kind": "salicon", "options": {"editon": 2015}}, "did you mean 'edition'"),
        ({"kind": "osie", "options": {"edition": 2015}}, "'osie' has no options"),
    ],
)
def test_options_are_checked_in_the_experiment(data, message):
    settings = {"name": "a", "models": {"a": {"weights": "tiny"}}, "reference": "a"}
    with pytest.raises(InputError, match=message):
        parse({**settings, "data": {**data, "split": {"rule": "given"}}}, "a")


def swapped(content):
    for one in content["annotations"]:
        one["fixations"] = [[column, row] for row, column in one["fixations"]]


def test_swapped_axes_stop(tmp_path):
    seen = world.gaze()
    world.write_json(tmp_path / JSON, seen)
    load_salicon(tmp_path, SAMPLES)
    world.edit(tmp_path / JSON, swapped)  # few of these lie outside: the mean position tells
    with pytest.raises(InputError, match=r"seem to be swapped: their mean is \(2\d\d, 3\d\d\), that of SALICON"):
        load_salicon(tmp_path, SAMPLES, skip_bad=True)
    right = world.gaze(n=12, seed=0)
    right[..., 0] += 160  # far to the right: swapped, many points lie below the image
    world.write_json(tmp_path / JSON, right)
    world.edit(tmp_path / JSON, swapped)
    with pytest.raises(InputError, match=r"points lie outside their image \(\d+\.\d%\).*seem to be swapped"):
        load_salicon(tmp_path, SAMPLES, skip_bad=True)


def test_swapped_axes_stop_where_few_images_have_released_maps(tmp_path):
    seen = np.clip(world.gaze(n=3) + np.array((60, -60)), 0, 479)
    world.write_json(tmp_path / JSON, seen)
    world.write_points(tmp_path / "fixation_points", seen)
    options = Salicon(edition=2015, gaze="samples", form="json")
    assert len(load_salicon(tmp_path, options)) == 3
    world.edit(tmp_path / JSON, swapped)
    with pytest.raises(InputError, match=r"do not fit the released maps.*with x and y swapped"):
        load_salicon(tmp_path, options, skip_bad=True)


def change_first(**fields):
    return lambda content: content["annotations"][5].update(fields)


def drop_first(name):
    return lambda content: content["annotations"][5].pop(name)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (drop_first("worker_id"), "record with a missing field"),
        (drop_first("fixations"), "record with a missing field"),
        (change_first(fixations=[]), "worker without points"),
        (change_first(fixations=[[1, 2], [3]]), "points that are no pairs of whole numbers"),
        (change_first(fixations=[[1, 2, 3]]), "points that are no pairs of whole numbers"),
        (change_first(fixations=[[1.5, 2]]), "points that are no pairs of whole numbers"),
        (change_first(image_id=77), "image id that is not in 'images'"),
        (change_first(fixations=[[481, 5], [200, 300]]), "points outside the image"),
        (change_first(fixations=[[0, 5], [200, 300]]), "points outside the image"),
        (change_first(fixations=[[99999, 5], [200, 300]]), "points outside the image"),
    ],
)
def test_a_bad_record_is_named_or_counted(tmp_path, capsys, change, kind):
    world.write_json(tmp_path / JSON, world.gaze())
    world.edit(tmp_path / JSON, change)
    with pytest.raises(InputError, match=rf"fixations_val2014\.json', annotation 202: {kind}.*--skip-bad"):
        load_salicon(tmp_path, SAMPLES)
    stimuli = load_salicon(tmp_path, SAMPLES, skip_bad=True)
    assert {k: len(v) for k, v in stimuli.left_out.items()} == {kind: 1}
    is_outside = kind == "points outside the image"
    assert stimuli.n_fixations.tolist() == [60, 41 if is_outside else 40, *[60] * 10]
    assert stimuli.outside.sum() == int(is_outside)
    assert "left out 1 records of 'salicon'" in capsys.readouterr().err


def test_a_truncated_json_is_named_or_counted(tmp_path):
    path = world.write_json(tmp_path / JSON, world.gaze())
    whole = path.read_text()
    path.write_text(whole[: whole.index('"id": 402')])
    with pytest.raises(InputError, match=r"val2014\.json': file cut short.*11 annotations.*the last with id 401"):
        load_salicon(tmp_path, SAMPLES)
    stimuli = load_salicon(tmp_path, SAMPLES, skip_bad=True)
    assert stimuli.n_fixations.tolist() == [60, 60, 60, 40, *[0] * 8]
    assert {k: len(v) for k, v in stimuli.left_out.items()} == {"file cut short": 1}
    path.write_text(whole[:60])
    with pytest.raises(InputError, match="cut short"):
        load_salicon(tmp_path, SAMPLES, skip_bad=True)
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="needs a list 'images'"):
        load_salicon(tmp_path, SAMPLES)


def test_bad_mat_files_are_named_or_counted(tmp_path):
    options = Salicon(edition=2015, gaze="fixations")

    def empty(k, workers):
        if k == 4:
            workers[1]["fixations"] = np.zeros((0, 2))

    world.write_mat(tmp_path, world.gaze(), change=empty)
    with pytest.raises(InputError, match=r"000000000005\.mat', worker 2: worker without points"):
        load_salicon(tmp_path, options)
    (tmp_path / "COCO_val2014_000000000002.mat").write_bytes(b"MATLAB 5.0 and no more")
    world.write_mat(tmp_path / "fixations", world.gaze(n=1), change=lambda _, w: [x.pop("fixations") for x in w])
    (tmp_path / "fixations" / "COCO_val2014_000000000001.mat").rename(tmp_path / "COCO_val2014_000000000099.mat")
    stimuli = load_salicon(tmp_path, options, skip_bad=True)
    counted = {k: len(v) for k, v in stimuli.left_out.items()}
    assert counted == {"worker without points": 1, "no .mat file of SALICON": 1, "file of another image": 1}
    assert len(stimuli) == 11 and stimuli.n_fixations.sum() == 11 * 60 - 20
    (tmp_path / "COCO_val2014_000000000099.mat").rename(tmp_path / "COCO_val2014_000000000001.mat")
    found = load_salicon(tmp_path, options, skip_bad=True).left_out["worker with a missing field"]
    assert len(found) == 3 and "000000000001.mat', worker 1" in found[0]


def test_bad_pictures_are_named_or_counted(tmp_path):
    folder = tmp_path / "fixation_points"
    world.write_points(folder, world.gaze())
    first, second, third = sorted(folder.iterdir())[:3]
    Image.new("L", (640, 480)).save(first)
    with pytest.raises(InputError, match=r"000000000001\.png': no picture of fixation points \(every pixel is black\)"):
        load_salicon(tmp_path)
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (480, 1))).save(second)
    third.write_bytes(third.read_bytes()[:200])
    stimuli = load_salicon(tmp_path, skip_bad=True)
    assert len(stimuli) == 9 and len(stimuli.left_out["no picture of fixation points"]) == 3


def test_photos_and_annotations_are_joined_by_number(tmp_path):
    world.write_points(tmp_path / "fixation_points", world.gaze())
    world.write_photos(tmp_path / "val2014", 12)
    one = [world.box(2), world.box(2, 44, w=5, h=6, id=5)]
    world.write_instances(tmp_path / "annotations" / "instances_train2017.json", 0, one, numbers=[*range(1, 9), 500])
    world.write_instances(tmp_path / "annotations" / "instances_val2017.json", 0, [world.box(11)], [*range(8, 13)])
    stimuli = load_salicon(tmp_path)
    assert [len(s.objects) for s in stimuli] == [0, 2, *[0] * 8, 1, 0]
    assert stimuli[0].path.name == stimuli.ids[0] and stimuli.pixels(0).shape == (480, 640, 3)
    (tmp_path / "val2014" / stimuli.ids[3]).unlink()
    with pytest.raises(InputError, match=r"COCO_val2014_000000000004\.jpg: image without file"):
        load_salicon(tmp_path)
    left = load_salicon(tmp_path, skip_bad=True)
    assert len(left) == 11 and {k: len(v) for k, v in left.left_out.items()} == {"image without file": 1}
    assert left[3].id.endswith("05.jpg")


def test_annotations_of_the_wrong_split_are_named(tmp_path):
    world.write_points(tmp_path / "fixation_points", world.gaze())
    world.write_instances(tmp_path / "instances_train2014.json", 0, [world.box(501)], numbers=[501, 502])
    with pytest.raises(
        InputError, match=r"12 of 12 images are not in 'instances_train2014.json'\). Add the annotations"
    ):
        load_salicon(tmp_path)
    world.write_instances(tmp_path / "instances_val2014.json", 11, [world.box(2)])
    stimuli = load_salicon(tmp_path, skip_bad=True)
    assert len(stimuli) == 11 and len(stimuli.left_out["image that no annotation file knows"]) == 1
    assert "instances_val2014.json" in stimuli.sources and "instances_train2014.json" not in stimuli.sources


@pytest.fixture()
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr("gazetune.data.salicon_json.KEEP_FROM_BYTES", 1)
    world.write_json(tmp_path / JSON, world.gaze())
    return tmp_path, load_salicon(tmp_path, SAMPLES)


def test_the_columns_are_kept_and_belong_to_their_file(kept, capsys):
    folder, first = kept
    columns = kept_name(folder / JSON)
    assert columns.is_file()
    capsys.readouterr()
    second = load_salicon(folder, SAMPLES)
    assert second.fingerprint() == first.fingerprint() and "reading" not in capsys.readouterr().err
    copy = folder / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("copy"))
    assert load_salicon(copy, SAMPLES).fingerprint() == first.fingerprint()
    assert "reading" not in capsys.readouterr().err  # another time, the same sha256
    world.write_json(folder / JSON, world.gaze(seed=1))
    assert load_salicon(folder, SAMPLES).fingerprint() != first.fingerprint()
    assert "reading" in capsys.readouterr().err


def test_damaged_columns_are_made_anew(kept, capsys):
    folder, first = kept
    columns = kept_name(folder / JSON)
    whole = columns.read_bytes()
    columns.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert load_salicon(folder, SAMPLES).fingerprint() == first.fingerprint()
    assert "damaged" in capsys.readouterr().err
    columns.write_bytes(whole[:100])
    assert load_salicon(folder, SAMPLES).fingerprint() == first.fingerprint()
    assert columns.read_bytes()[:8] == whole[:8] and len(columns.read_bytes()) == len(whole)


def test_nothing_is_kept_of_a_bad_file(tmp_path, monkeypatch):
    monkeypatch.setattr("gazetune.data.salicon_json.KEEP_FROM_BYTES", 1)
    world.write_json(tmp_path / JSON, world.gaze())
    world.edit(tmp_path / JSON, change_first(fixations=[]))
    load_salicon(tmp_path, SAMPLES, skip_bad=True)
    assert not kept_name(tmp_path / JSON).exists()
    with pytest.raises(InputError, match="worker without points"):
        load_salicon(tmp_path, SAMPLES)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The ten real example images, with and without swapped axes, and their released points."""
    source, folder = data_folder("salicon_examples"), tmp_path_factory.mktemp("salicon")
    shutil.copyfile(source / "fixations_train2014examples.json", folder / "fixations_train2014examples.json")
    (folder / "fixation_points").mkdir()
    for picture in (source / "fixation_points_png").iterdir():
        shutil.copyfile(picture, folder / "fixation_points" / picture.name)
    options = Salicon(edition=2015, gaze="samples", form="json")
    points = load_salicon(folder, Salicon(form="points"))
    samples = load_salicon(folder, options)
    place = [points.ids.index(i) for i in samples.ids]
    return folder, samples, points.take(np.array(place))


def test_the_real_examples(examples):
    folder, samples, points = examples
    records = json.loads((folder / "fixations_train2014examples.json").read_text())["annotations"]
    per_image = [len(set(one.fixations.observer.tolist())) for one in samples]
    assert sum(per_image) == 610 and (min(per_image), max(per_image)) == (55, 67)
    assert len(set(samples.fixations.observer.tolist())) == 395
    each = np.concatenate([np.unique(one.fixations.observer, return_counts=True)[1] for one in samples])
    assert sorted(each.tolist()) == sorted(len(r["fixations"]) for r in records)
    assert (each.min(), each.max()) == (1, 337)
    ours, theirs = densities(grid_points(samples)), densities(grid_points(points))
    assert cc(ours, theirs).mean() >= 0.97
    assert entropy_bits(ours).mean().item() == pytest.approx(14.850, abs=0.01)
    turned = Fixations(
        x=samples.fixations.y, y=np.minimum(samples.fixations.x, 479), observer=samples.fixations.observer
    )
    maps = densities(grid_points(type(samples)(**{**vars(samples), "fixations": turned})))
    assert cc(maps, theirs).mean() < 0.5


def test_swapped_axes_of_the_real_examples_stop(examples, tmp_path):
    folder = examples[0]
    shutil.copytree(folder, tmp_path / "swapped")
    world.edit(tmp_path / "swapped" / "fixations_train2014examples.json", swapped)
    with pytest.raises(InputError, match="swapped"):
        load_salicon(tmp_path / "swapped", Salicon(edition=2015, gaze="samples", form="json"), skip_bad=True)


def test_workers_of_the_real_examples_agree_as_known(examples):
    table = consistency(examples[1])
    assert table["consistency"].mean() == pytest.approx(0.395, abs=0.01)
    assert table["n_observers"].sum() == 610


@pytest.fixture()
def untrained(monkeypatch, study):
    """A run of one model that is not trained, as quick as a run can be."""
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["models"] = {"before": settings["models"]["before"]}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    assert run_small(monkeypatch, study) == 0
    return study / "run"


def test_a_run_is_scored_on_salicon(monkeypatch, untrained, tmp_path, capsys):
    folder = tmp_path / "salicon"
    world.write_json(folder / JSON, world.gaze())
    world.write_photos(folder / "images", 12)
    world.write_instances(folder / "instances_val2014.json", 12, [world.box(2, segmentation=[[1, 1, 5, 5]])])
    (folder / "salicon.yaml").write_text("edition: 2015\ngaze: samples\n")
    assert gazetune(monkeypatch, "score", untrained, "--data", f"salicon={folder}") == 2
    assert "annotation 9002: polygon of fewer than 3 points" in capsys.readouterr().err
    assert gazetune(monkeypatch, "score", untrained, "--data", f"salicon={folder}", "--skip-bad") == 0
    about = Run(untrained).summary["datasets"]["salicon"]
    assert about["images"]["test"] == 12 and about["fixations"] == 12 * 60
    assert about["records_left_out"] == {"polygon of fewer than 3 points": 1}
    assert "polygon of fewer than 3 points</td><td>1</td>" in (untrained / "report.html").read_text()


@pytest.mark.slow
def test_a_run_is_scored_on_real_salicon_images(monkeypatch, untrained):
    assert gazetune(monkeypatch, "score", untrained, "--data", f"salicon={data_folder('salicon_coco')}") == 0
    about = Run(untrained).summary["datasets"]["salicon"]
    assert about["images"]["test"] == 58 and about["records_left_out"] == {"crowd annotation": 7}


@pytest.mark.slow
def test_figrim_comes_as_a_table(tmp_path):
    """Fixations and named outlines without photos, through the script that a user has."""
    script = Path(__file__).parents[1] / "scripts" / "figrim_table.py"
    source = data_folder("figrim_objects")
    done = subprocess.run([sys.executable, script, source, tmp_path, "--phase", "all"], capture_output=True, check=True)
    assert b"182,535 fixations and 8,174 outlines of 630 images" in done.stdout  # 5 of the 8,179 hold no pixel
    stimuli = load_table(tmp_path)
    assert len(stimuli) == 630 and len(stimuli.fixations) == 182_535 and stimuli[0].path is None
    objects = [one for stimulus in stimuli for one in stimulus.objects]
    assert len(objects) == 8174 and sum(bool(one.animate) for one in objects) == 368
    assert {(one.width, one.height) for one in stimuli} == {(1000, 1000)}
    assert all(one.decode().sum() == one.area_px2 > 0 for one in objects[:50])

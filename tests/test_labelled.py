import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from conftest import data_folder
from gazetune.data.classes import Classes, read_class_index, read_devkit
from gazetune.data.imagenet import load_imagenet_val
from gazetune.data.label_table import load_label_table
from gazetune.data.labelled import load_image_folder, squashed_crop
from gazetune.data.objectnet import load_objectnet, objectnet_mapping, read_without_border, red_border
from gazetune.errors import InputError

PETS = Classes(names=("cat", "dog", "crane", "crane"), wnids=("n3", "n4", "n5", "n6"), ilsvrc2012=(4, 1, 3, 2))


def photo(path, size=(8, 6), colour=(10, 200, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture(scope="module")
def imagenet():
    return read_class_index(data_folder("imagenet_sample") / "class_index.csv")


# class lists ----------------------------------------------------------------------------------------------------


def test_development_kit_numbers_are_no_indices():
    assert PETS.from_ilsvrc2012(np.array([4, 1, 2])).tolist() == [0, 1, 3]
    for wrong in (0, 5, -1):
        with pytest.raises(InputError, match=f"number {wrong} "):
            PETS.from_ilsvrc2012(np.array([1, wrong]))


def test_a_name_of_two_classes_is_no_name():
    assert (PETS.place("dog"), PETS.place("n6"), PETS.place("crane"), PETS.place("cow")) == (1, 3, None, None)


def test_the_class_index_of_imagenet(imagenet):
    assert len(imagenet) == 1000
    assert imagenet.wnids == tuple(sorted(imagenet.wnids))
    assert imagenet.place("n01440764") == 0
    assert imagenet.from_ilsvrc2012(np.array([449])).tolist() == [0]  # tench


def test_meta_mat_gives_the_same_classes(imagenet, tmp_path):
    # written as the kit has it: by number, with inner nodes above 1,000
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    rows = sorted(zip(imagenet.ilsvrc2012, imagenet.wnids, imagenet.names, strict=True))
    synsets = np.array([*((*row, 0) for row in rows), (1001, "n00000001", "thing", 7)], dtype=kind)
    savemat(tmp_path / "meta.mat", {"synsets": synsets[:, None]})
    assert read_devkit(tmp_path / "meta.mat") == imagenet
    (tmp_path / "other.mat").write_bytes(b"no")
    with pytest.raises(InputError, match=r"is no meta\.mat"):
        read_devkit(tmp_path / "other.mat")


# readers --------------------------------------------------------------------------------------------------------


def test_an_image_folder(tmp_path):
    for name in ("b/2.png", "a/1.jpg", "b/deep/3.PNG"):
        photo(tmp_path / name)
    found = load_image_folder(tmp_path)
    assert found.ids == ("a/1.jpg", "b/2.png", "b/deep/3.PNG")
    assert found.answers.tolist() == [[0], [1], [1]]
    assert (found.groups, found.classes.names) == (("a", "b", "b"), ("a", "b"))
    assert found.for_tuning() is found
    pixels, border = found.pixels(0)
    assert (pixels.shape, border) == ((6, 8, 3), 0)


def test_sub_folders_are_looked_up_and_unknown_ones_named(tmp_path):
    photo(tmp_path / "n4" / "1.png")
    photo(tmp_path / "cat" / "1.png")
    assert load_image_folder(tmp_path, PETS).answers.tolist() == [[0], [1]]
    for i in range(7):
        (tmp_path / f"x{i}").mkdir()
    with pytest.raises(InputError, match=r"7 of 9 sub-folders .*'x0', 'x1', 'x2', 'x3', 'x4' and 2 more"):
        load_image_folder(tmp_path, PETS)
    with pytest.raises(InputError, match="does not exist"):
        load_image_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in a sub-folder"):
        load_image_folder(tmp_path / "empty")


def test_files_that_are_no_images_are_said(tmp_path, capsys):
    photo(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "notes.txt").write_text("-")
    (tmp_path / "a" / ".hidden").write_text("-")
    assert len(load_image_folder(tmp_path)) == 1
    assert "1 files" in capsys.readouterr().err


def test_a_flat_validation_folder(tmp_path):
    photo(tmp_path / "val" / "ILSVRC2012_val_00000003.JPEG")
    photo(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    (tmp_path / "truth.txt").write_text("4\n1\n2\n")
    found = load_imagenet_val(tmp_path / "val", tmp_path / "truth.txt", PETS)
    assert found.answers.tolist() == [[0], [3]]
    assert found.groups == ("n3", "n6")
    (tmp_path / "truth.txt").write_text("4\n1\n9\n")
    with pytest.raises(InputError, match="number 9 "):
        load_imagenet_val(tmp_path / "val", tmp_path / "truth.txt", PETS)
    (tmp_path / "truth.txt").write_text("4\n1\n")
    with pytest.raises(InputError, match="it has 'ILSVRC2012_val_00000003"):
        load_imagenet_val(tmp_path / "val", tmp_path / "truth.txt", PETS)
    (tmp_path / "truth.txt").write_text("cat\n")
    with pytest.raises(InputError, match="one number a line"):
        load_imagenet_val(tmp_path / "val", tmp_path / "truth.txt", PETS)


@pytest.mark.parametrize(
    ("header", "label", "place"), [("label", "dog", 1), ("wnid", "n6", 3), ("index", "2", 2), ("label", "n5", 2)]
)
def test_a_table_of_labels(tmp_path, header, label, place):
    photo(tmp_path / "images" / "1.png")
    (tmp_path / "labels.csv").write_text(f"file,{header}\n1.png,{label}\n")
    found = load_label_table(tmp_path / "labels.csv", classes=PETS)
    assert (found.ids, found.answers.tolist(), found.groups) == (("1.png",), [[place]], (label,))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("file,index\n1.png,4", r"index that is none of the 4 classes \(0 to 3\): '4'"),
        ("file,index\n1.png,-1", r"\(0 to 3\): '-1'"),
        ("file,label\n1.png,cow", "none of the 4 classes: 'cow'"),
        ("file,label\n1.png,crane", "none of the 4 classes: 'crane'"),
        ("file,label\n2.png,cat", "1 of 1 images .* not there"),
        ("file,label\n1.png,cat\n1.png,cat", "twice"),
        ("file,colour\n1.png,cat", "needs rows with the columns file and label"),
        ("file,label", "0 rows"),
    ],
)
def test_bad_tables_of_labels(tmp_path, rows, said):
    photo(tmp_path / "1.png")
    (tmp_path / "labels.csv").write_text(rows + "\n")
    with pytest.raises(InputError, match=said):
        load_label_table(tmp_path / "labels.csv", classes=PETS)


def test_without_a_class_list_the_labels_are_the_classes(tmp_path):
    photo(tmp_path / "1.png")
    photo(tmp_path / "2.png")
    (tmp_path / "labels.csv").write_text("image,label\n1.png,zebra\n2.png,ant\n")
    found = load_label_table(tmp_path / "labels.csv")
    assert (found.classes.names, found.answers.tolist()) == (("ant", "zebra"), [[1], [0]])


def test_the_paper_squashes_and_takes_the_middle():
    # columns of 0..255 stay where they are at 256; the middle 224 are 16..239
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    assert squashed_crop(ramp)[100, :, 0].tolist() == list(range(16, 240))
    wide = squashed_crop(np.full((100, 700, 3), 9, dtype=np.uint8))
    assert wide.shape == (224, 224, 3)
    assert (wide == 9).all()


# ObjectNet ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", range(5))
def test_the_border_is_found_by_its_colour(width, tmp_path):
    inside = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    framed = np.pad(inside, ((width, width), (width, width), (0, 0)))
    edge = np.ones(framed.shape[:2], dtype=bool)
    edge[width : width + 40, width : width + 50] = False
    framed[edge] = (255, 0, 0)
    assert red_border(framed) == width
    Image.fromarray(framed).convert("RGBA").save(tmp_path / "a.png")
    pixels, found = read_without_border(tmp_path / "a.png")
    assert found == width
    assert (pixels == inside).all()


def test_red_on_three_sides_is_no_border():
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:2] = pixels[-2:] = pixels[:, :2] = (255, 0, 0)
    assert red_border(pixels) == 0


def test_a_wider_border_is_not_guessed(tmp_path):
    photo(tmp_path / "red.png", (30, 30), (250, 5, 5))
    with pytest.raises(InputError, match="more than 4 px"):
        read_without_border(tmp_path / "red.png")


def test_the_official_mapping_has_113_classes_and_125_indices():
    folder = data_folder("objectnet")
    mapping = objectnet_mapping(folder)
    indices = [i for found in mapping.values() for i in found]
    assert (len(mapping), len(indices), len(set(indices))) == (113, 125, 125)
    stored = pd.read_csv(folder / "objectnet_to_imagenet_index.csv")
    assert mapping == {k: tuple(sorted(part)) for k, part in stored.groupby("folder")["imagenet_index"]}
    # the challenge's own list, which was not used above
    official = json.loads((folder / "imagenet_pytorch_id_to_objectnet_id.json").read_text())
    groups = pd.Series(official).groupby(official).groups.values()
    assert {tuple(sorted(map(int, g))) for g in groups} == set(mapping.values())


def test_the_example_photos_run_through(tmp_path, imagenet, capsys):
    folder = data_folder("objectnet")
    mapping, official = (
        objectnet_mapping(folder),
        json.loads((folder / "imagenet_pytorch_id_to_objectnet_id.json").read_text()),
    )
    kind_of = {official[str(indices[0])]: kind for kind, indices in mapping.items()}
    answers = json.loads((folder / "answers.json").read_text())
    for name, number in answers.items():
        target = tmp_path / kind_of.get(
            number, "squeegee"
        )  # five have a class of ImageNet, the others go where none has
        target.mkdir(exist_ok=True)
        shutil.copy(folder / "images" / name, target / name)
    found = load_objectnet(tmp_path, folder, imagenet)
    assert len(found) == 5
    assert "1 of 6 kinds" in capsys.readouterr().err
    for i in range(5):
        pixels, border = found.pixels(i)
        assert border == 2
        with Image.open(found.paths[i]) as whole:
            assert whole.mode == "RGBA"
            assert pixels.shape == (whole.height - 4, whole.width - 4, 3)
        assert set(found.answers[i]) - {-1} == set(mapping[found.groups[i]])
        assert squashed_crop(pixels).shape == (224, 224, 3)
    with pytest.raises(InputError, match="forbids to tune"):
        found.for_tuning()
    (tmp_path / "nonsense").mkdir()
    with pytest.raises(InputError, match="no kind of ObjectNet: 'nonsense'"):
        load_objectnet(tmp_path, folder, imagenet)


def test_mapping_files_that_are_missing_or_do_not_fit(tmp_path):
    folder = data_folder("objectnet")
    with pytest.raises(InputError, match="needs its mapping files"):
        objectnet_mapping(tmp_path)
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "imagenet_to_label_2012_v2").write_text("kit fox, Vulpes macrotis\n")
    with pytest.raises(InputError, match="do not fit together"):
        objectnet_mapping(tmp_path)


# real photos ----------------------------------------------------------------------------------------------------


def test_the_readers_agree_on_real_validation_images(imagenet, tmp_path):
    # the same 500 images as a table, as a flat folder and as folders of classes
    folder, truth = (
        data_folder("imagenette_val"),
        data_folder("imagenet_sample") / "ILSVRC2012_validation_ground_truth.txt",
    )
    by_table = load_label_table(folder / "labels.csv", classes=imagenet)
    flat = load_imagenet_val(folder / "images", truth, imagenet)
    assert (by_table.name, len(by_table), len(set(by_table.answers[:, 0]))) == ("imagenette_val", 500, 10)
    stored = dict(zip(by_table.ids, by_table.answers[:, 0], strict=True))
    assert dict(zip(flat.ids, flat.answers[:, 0], strict=True)) == stored
    for path, wnid in zip(flat.paths, flat.groups, strict=True):
        (tmp_path / wnid).mkdir(exist_ok=True)
        (tmp_path / wnid / path.name).symlink_to(path)
    sorted_in = load_image_folder(tmp_path, imagenet)
    assert {p.name: a for p, a in zip(sorted_in.paths, sorted_in.answers[:, 0], strict=True)} == stored

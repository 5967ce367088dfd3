import hashlib
import importlib.util
import io
import json
import os
import pickle
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import data_folder
from gazetune.data.classes import Classes, read_class_index, read_classes
from gazetune.data.imagenet import PUBLISHED, published_5000
from gazetune.data.imagenet_c import CORRUPTED, EXTRA
from gazetune.data.labelled import Labelled, whole
from gazetune.data.objectnet import MAPPING_FILES, objectnet_classes, objectnet_mapping
from gazetune.data.sources import LABELLED, read_labelled
from gazetune.errors import InputError
from gazetune.parity.corruptions import CORRUPTIONS, IMAGENET_C

ROOT = Path(__file__).parents[1]
LIST = """index,wnid,ilsvrc2012_id,label
0,n00000003,4,cat
1,n00000004,1,dog
2,n00000005,3,crane
3,n00000006,2,crane
"""


def photo(path, colour=(10, 200, 30), size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def encoded(colour, kind="png", size=(8, 6)):
    opened = io.BytesIO()
    Image.new("RGB", size, colour).save(opened, kind)
    return opened.getvalue()


# any kind ---------------------------------------------------------------------------------------------------------


def test_what_is_not_used_is_refused(tmp_path):
    assert set(LABELLED) == {"folder", "labels", "imagenet", "imagenet_c", "objectnet", "hub"}
    with pytest.raises(InputError, match="no kind of labelled images 'pets'; there are folder, labels"):
        read_labelled("pets", tmp_path)
    with pytest.raises(InputError, match="'folder' have no use for --answers and --mapping"):
        read_labelled("folder", tmp_path, answers=tmp_path, mapping=tmp_path)


def test_a_labelled_set_travels_to_other_processes_and_can_be_cut(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        photo(tmp_path / name, (len(name), 0, int(name[4])))
    found = read_labelled("folder", tmp_path, name="pets")
    assert (found.name, found.read, found.answers[:, 0].tolist()) == ("pets", whole, [0, 0, 1])
    same = pickle.loads(pickle.dumps(found))
    assert (same.pixels(2)[0] == found.pixels(2)[0]).all()
    assert same.fingerprint() == found.fingerprint() == found.take(np.arange(3)).fingerprint()
    last = found.take(np.array([2, 0]))
    assert (last.ids, last.groups, last.answers.tolist()) == (("dog/3.png", "cat/1.png"), ("dog", "cat"), [[1], [0]])
    assert found.take(np.array([False, True, False])).ids == ("cat/2.png",)
    assert last.pixels(0)[0][0, 0].tolist() == [9, 0, 3]


def test_the_fingerprint_sees_every_change(tmp_path):
    for name in ("cat/1.png", "dog/2.png"):
        photo(tmp_path / name)
    found = read_labelled("folder", tmp_path)
    before = found.fingerprint()
    changed = [found.take(np.array([1, 0])), found.take(np.array([0])), read_labelled("folder", tmp_path, name="x")]
    changed.append(Labelled(**{**vars(found), "answers": found.answers[::-1].copy()}))
    changed.append(Labelled(**{**vars(found), "corrupted": (("fog", 1), ("fog", 2))}))
    prints = [c.fingerprint() for c in changed]
    os.utime(tmp_path / "cat" / "1.png", ns=(1, 1))
    prints.append(found.fingerprint())
    (tmp_path / "cat" / "1.png").unlink()
    prints.append(found.fingerprint())
    assert len({before, *prints}) == 8


def test_an_image_twice_is_refused_but_not_its_corrupted_copies(tmp_path):
    made = {"paths": (tmp_path, tmp_path), "answers": np.zeros((2, 1), int), "groups": ("a", "a")}
    classes = Classes(names=("a",))
    Labelled("x", ("1", "1"), **made, classes=classes, corrupted=(("fog", 1), ("fog", 2)))
    for corrupted in ((), (("fog", 1), ("fog", 1))):
        with pytest.raises(InputError, match="must occur once; 1 occur again"):
            Labelled("x", ("1", "1"), **made, classes=classes, corrupted=corrupted)


# folders and tables -----------------------------------------------------------------------------------------------


def test_a_class_list_that_lies_beside_is_used_where_it_fits(tmp_path, capsys):
    photo(tmp_path / "set" / "Dog" / "1.png")
    (tmp_path / "class_index.csv").write_text(LIST)
    found = read_labelled("folder", tmp_path / "set")
    assert (found.answers.tolist(), len(found.classes)) == ([[1]], 4)
    assert set(found.sources) == {"class_index.csv"}
    assert "class_index.csv" in capsys.readouterr().err
    photo(tmp_path / "set" / "cow" / "1.png")
    with pytest.raises(InputError, match=r"1 of 2 sub-folders .* 4 known: 'cow'"):
        read_labelled("folder", tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / "Dog")
    assert read_labelled("folder", tmp_path / "set").classes.names == ("cow",)
    assert "knows none of the classes, such as 'cow', and is not used" in capsys.readouterr().err
    with pytest.raises(InputError, match="'cow'"):
        read_labelled("folder", tmp_path / "set", classes=tmp_path / "class_index.csv")


def test_labels_that_do_not_match_the_class_list(tmp_path):
    photo(tmp_path / "images" / "1.png")
    table, listed = tmp_path / "labels.csv", tmp_path / "list.csv"
    listed.write_text(LIST)
    table.write_text("file,index,label\n1.png,1,Dog\n")
    assert read_labelled("labels", tmp_path, classes=listed).answers.tolist() == [[1]]
    table.write_text("file,index,label\n1.png,1,cat\n")
    with pytest.raises(
        InputError, match=r"do not match .* line 2\): index '1' is class 1 \('dog'\), label 'cat' is cl"
    ):
        read_labelled("labels", table, classes=listed)
    table.write_text("file,index\n1.png,4\n")
    with pytest.raises(InputError, match=r"none of the 4 classes \(0 to 3\): '4'"):
        read_labelled("labels", table, classes=listed)
    with pytest.raises(InputError, match=r"need a class list\. Looked for class_index\.csv or .* --classes PATH"):
        read_labelled("labels", table)
    table.write_text("file,label\n1.png,zebra\n")
    assert read_labelled("labels", table).classes.names == ("zebra",)
    with pytest.raises(InputError, match="none of the 4 classes: 'zebra'"):
        read_labelled("labels", table, classes=listed)


def test_class_lists_of_every_kind(tmp_path):
    (tmp_path / "a.txt").write_text("n00000003 cat, Felis\nn00000004 dog\n")
    assert read_classes(tmp_path / "a.txt") == Classes(("cat, Felis", "dog"), ("n00000003", "n00000004"))
    (tmp_path / "b.txt").write_text("cat\n\ndog\n")
    assert read_classes(tmp_path / "b.txt") == Classes(("cat", "dog"))
    (tmp_path / "c.csv").write_text("label,index\ndog,1\ncat,0\n")
    assert read_classes(tmp_path / "c.csv") == Classes(("cat", "dog"))
    for name, text, said in (
        ("d.txt", "n00000003 cat\ndog\n", "2 lines, 1 of them"),
        ("d.txt", "n00000003 a\nn00000003 b\n", "1 synset ids twice"),
        ("d.txt", "", "0 lines"),
        ("d.csv", "index,label\n1,cat\n", "one row for each index 0, 1"),
        ("d.csv", "index,name\n0,cat\n", "missing: label"),
        ("d.json", "{}", "is a .csv, a .txt or"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=said):
            read_classes(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_classes(tmp_path / "nowhere.txt")


def test_grey_cmyk_and_16_bit_photos_are_read_and_a_damaged_one_is_named(tmp_path):
    ramp = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(ramp).save(tmp_path / "a" / "grey.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "a" / "deep.png")
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(tmp_path / "a" / "ink.jpg", quality=100)
    content = encoded((1, 2, 3), "jpeg", (80, 60))
    (tmp_path / "a" / "short.jpg").write_bytes(content[: len(content) // 2])
    found = read_labelled("folder", tmp_path)
    pixels = {i: found.pixels(k)[0] for k, i in enumerate(found.ids) if "short" not in i}
    assert (pixels["a/grey.png"] == ramp[..., None]).all()
    assert (pixels["a/deep.png"] == ramp[..., None]).all()
    assert pixels["a/ink.jpg"][0, 0, 0] > 200 > 60 > pixels["a/ink.jpg"][0, 0, 2]
    with pytest.raises(InputError, match=r"short\.jpg' cannot be read as an image"):
        found.pixels(found.ids.index("a/short.jpg"))


# ImageNet ---------------------------------------------------------------------------------------------------------


def validation(folder, *numbers):
    for n in numbers:
        photo(folder / f"ILSVRC2012_val_{n:08d}.JPEG")


def test_imagenet_is_found_out_by_looking(tmp_path, capsys):
    validation(tmp_path / "val", 1, 3)
    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "class_index.csv").write_text(LIST)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("4\n1\n2\n")
    for path in (tmp_path, tmp_path / "val"):  # the kit beside the images, or both in one folder
        found = read_labelled("imagenet", path)
        assert (found.name, found.answers[:, 0].tolist(), found.groups) == (
            "imagenet",
            [0, 3],
            ("n00000003", "n00000006"),
        )
        assert set(found.sources) == {"class_index.csv", "ILSVRC2012_validation_ground_truth.txt"}
    validation(tmp_path / "sorted" / "n00000003", 1)
    validation(tmp_path / "sorted" / "n00000006", 3)
    by_folder = read_labelled("imagenet", tmp_path / "sorted")
    assert by_folder.ids == ("n00000003/ILSVRC2012_val_00000001.JPEG", "n00000006/ILSVRC2012_val_00000003.JPEG")
    assert (by_folder.answers == found.answers).all()
    assert "class list" in capsys.readouterr().err
    shutil.move(kit, tmp_path / "sorted" / "ILSVRC2012_devkit_t12")  # no class, though among the class folders
    assert len(read_labelled("imagenet", tmp_path / "sorted", classes=_kit(tmp_path, "class_index.csv"))) == 2
    with pytest.raises(
        InputError, match=r"need a class list\. Looked for class_index\.csv or meta\.mat in .*--classes"
    ):
        read_labelled("imagenet", tmp_path / "val")
    with pytest.raises(
        InputError, match=r"need their answers\. Looked for ILSVRC2012_validation_ground.*--answers PATH"
    ):
        read_labelled("imagenet", tmp_path / "val", classes=_kit(tmp_path, "class_index.csv"))
    truth = _kit(tmp_path, "ILSVRC2012_validation_ground_truth.txt")
    assert len(read_labelled("imagenet", tmp_path / "val", answers=truth)) == 2  # the list lies beside the answers


def _kit(tmp_path, name):
    return tmp_path / "sorted" / "ILSVRC2012_devkit_t12" / name


def test_folders_that_are_neither_flat_nor_sorted(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no files named ILSVRC2012_val_\.\.\. and 0 sub-folders"):
        read_labelled("imagenet", tmp_path / "empty")
    validation(tmp_path / "both", 1)
    validation(tmp_path / "both" / "n00000003", 1)
    with pytest.raises(InputError, match=r"has files named ILSVRC2012_val_\.\.\. and 1 sub-folders"):
        read_labelled("imagenet", tmp_path / "both")


def test_unknown_synsets_are_named(tmp_path):
    for name in ("n00000003", "n77777777", "n88888888"):
        validation(tmp_path / "set" / name, 1)
    with pytest.raises(InputError, match=r"3 class folders .* not the 1,000 of ImageNet, so they need a class list"):
        read_labelled("imagenet", tmp_path / "set")
    (tmp_path / "class_index.csv").write_text(LIST)
    with pytest.raises(InputError, match=r"2 of 3 sub-folders .*'n77777777', 'n88888888'"):
        read_labelled("imagenet", tmp_path / "set")


def test_all_thousand_folders_tell_their_indices(tmp_path):
    for i in range(1000):
        (tmp_path / f"n{i * 7:08d}").mkdir()
    validation(tmp_path / "n00000021", 5)
    found = read_labelled("imagenet", tmp_path)
    assert (found.answers.tolist(), len(found.classes)) == ([[3]], 1000)


# ImageNet-C -------------------------------------------------------------------------------------------------------


def test_the_names_are_those_of_the_corruptions_made_in_memory():
    assert CORRUPTED == IMAGENET_C
    assert (*CORRUPTED, *EXTRA) == tuple(CORRUPTIONS)


def test_any_part_of_imagenet_c(tmp_path, capsys):
    (tmp_path / "class_index.csv").write_text(LIST)
    top = tmp_path / "c"
    for kind in ("snow/5", "fog/5", "fog/3", "spatter/5"):
        validation(top / kind / "n00000004", 1)
        validation(top / kind / "n00000003", 2)
    found = read_labelled("imagenet_c", top)
    assert Counter(found.ids) == {
        "n00000003/ILSVRC2012_val_00000002.JPEG": 4,
        "n00000004/ILSVRC2012_val_00000001.JPEG": 4,
    }
    assert found.corrupted[::2] == (("snow", 5), ("fog", 3), ("fog", 5), ("spatter", 5))
    assert found.answers[:, 0].tolist() == [0, 1] * 4
    assert [p.relative_to(top).parts[:2] for p in found.paths] == [(n, str(s)) for n, s in found.corrupted]
    said = capsys.readouterr().err
    assert "3 of the 75 pairs" in said
    assert "severity 1, severity 2, severity 4, gaussian_noise at all severities" in said
    assert "'snow 3'" in said
    assert "lack" not in said
    assert found.take(np.array([5])).corrupted == (("fog", 5),)
    (top / "fog" / "3" / "n00000003" / "ILSVRC2012_val_00000002.JPEG").unlink()
    read_labelled("imagenet_c", top)
    assert "1 of 4 folders of ImageNet-C lack some of the 2 images: 'fog 3 (1)'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("snowy/5/n00000003", "no corruptions of ImageNet-C: 'snowy'"),
        ("snow/6/n00000003", "severities, 1 to 5 .* the folders '6'"),
        ("snow/n00000003", "severities, 1 to 5 .* the folders 'n00000003'"),
        ("", "it has none at all"),
        ("snow/5/n77777777", "1 of 1 sub-folders .*'n77777777'"),
    ],
)
def test_what_is_no_imagenet_c(tmp_path, place, said):
    (tmp_path / "list.csv").write_text(LIST)
    validation(tmp_path / "c" / place, 1)
    with pytest.raises(InputError, match=said):
        read_labelled("imagenet_c", tmp_path / "c", classes=tmp_path / "list.csv")


# the fixed 5,000 --------------------------------------------------------------------------------------------------


def listed_numbers():
    return [int(line) for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")]


def flat_labelled(numbers):
    ids = tuple(f"ILSVRC2012_val_{n:08d}.JPEG" for n in numbers)
    answers = np.zeros((len(ids), 1), dtype=np.int64)
    return Labelled("val", ids, tuple(map(Path, ids)), answers, ("a",) * len(ids), Classes(("a",)))


def test_the_fixed_5000_are_kept_or_their_absence_is_said(capsys):
    listed = listed_numbers()
    kept = published_5000(flat_labelled(range(1, 50_001)))
    assert kept.ids == tuple(f"ILSVRC2012_val_{n:08d}.JPEG" for n in listed)
    assert PUBLISHED.name in kept.sources
    assert "5,000 of 50,000 images" in capsys.readouterr().err
    with pytest.raises(InputError, match=f"2 of the 5,000 .* the first is ILSVRC2012_val_{listed[7]:08d}"):
        published_5000(flat_labelled(n for n in listed if n not in (listed[7], listed[8])))


def test_the_fixed_5000_follow_their_rule():
    truth = data_folder("imagenet_sample") / "ILSVRC2012_validation_ground_truth.txt"
    official = list(map(int, truth.read_text().split()))
    spec = importlib.util.spec_from_file_location("script", ROOT / "scripts" / "make_imagenet_c_5000.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    listed = listed_numbers()
    assert script.chosen(official) == listed
    assert set(Counter(official[n - 1] for n in listed).values()) == {5}
    assert len({official[n - 1] for n in listed}) == 1000
    # by hand: of three images of two classes, one each
    first = min((1, 3), key=lambda n: hashlib.sha256(f"ILSVRC2012_val_{n:08d}".encode()).hexdigest())
    assert script.chosen([8, 9, 8], per_class=1) == sorted([first, 2])


# ObjectNet --------------------------------------------------------------------------------------------------------


def test_objectnet_needs_nothing_but_its_mapping_files(tmp_path, capsys):
    folder = data_folder("objectnet")
    official = json.loads((folder / "imagenet_pytorch_id_to_objectnet_id.json").read_text())
    mapping = objectnet_mapping(folder)
    kind_of = {official[str(indices[0])]: kind for kind, indices in mapping.items()}
    answers = json.loads((folder / "answers.json").read_text())
    for name, number in answers.items():
        if number in kind_of:
            target = tmp_path / "objectnet" / "images" / kind_of[number]
            target.mkdir(parents=True)
            shutil.copy(folder / "images" / name, target / name)
    (tmp_path / "objectnet" / "mappings").mkdir()
    with pytest.raises(InputError, match=r"needs the folder of its mapping files\. Looked for .* --mapping PATH"):
        read_labelled("objectnet", tmp_path / "objectnet")
    by_name = read_labelled("objectnet", tmp_path / "objectnet" / "images", mapping=folder)
    for name in MAPPING_FILES:
        shutil.copy(folder / name, tmp_path / "objectnet" / "mappings" / name)
    found = read_labelled("objectnet", tmp_path / "objectnet")  # as the official archive lies
    assert (len(found), found.fingerprint()) == (5, by_name.fingerprint())
    assert [found.pixels(i)[1] for i in range(5)] == [2] * 5
    assert pickle.loads(pickle.dumps(found)).pixels(0)[1] == 2
    assert not found.may_tune


def test_the_classes_of_the_mapping_files_are_imagenets_in_order():
    known = read_class_index(data_folder("imagenet_sample") / "class_index.csv")
    assert objectnet_classes(data_folder("objectnet")).names == known.names


def test_mapping_files_of_other_lengths_are_refused(tmp_path):
    (tmp_path / MAPPING_FILES[2]).write_text("a\nb\n")
    (tmp_path / MAPPING_FILES[3]).write_text('{"0": 1, "1": 0}')
    assert objectnet_classes(tmp_path).names == ("b", "a")
    for order in ('{"0": 1}', '{"0": 1, "1": 1}', '{"0": 1, "2": 0}', '{"0": 5, "1": 0}', "no"):
        (tmp_path / MAPPING_FILES[3]).write_text(order)
        with pytest.raises(InputError, match="do not fit together"):
            objectnet_classes(tmp_path)


# a Hugging Face dataset -------------------------------------------------------------------------------------------

NAMES = ["cat, Felis", "dog", "crane"]


@pytest.fixture()
def hub(tmp_path, monkeypatch):
    """The library, with its cache in a folder of the test, and a small table of six rows."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def made(labels=(0, 1, 2, 0, 1, 2), names=NAMES, paths=True, damaged=False):
        images = [
            {"bytes": encoded((i, 2, 3))[: 40 if damaged and i == 1 else None], "path": f"p{i}.png" if paths else None}
            for i in range(6)
        ]
        kind = {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=names) if names else datasets.Value("int64"),
        }
        return datasets.Dataset.from_dict({"image": images, "label": list(labels)}, features=datasets.Features(kind))

    return datasets, made


def test_a_folder_of_parquet_files_and_one_that_was_saved(tmp_path, hub):
    datasets, made = hub
    (tmp_path / "repo" / "data").mkdir(parents=True)
    made().to_parquet(tmp_path / "repo" / "data" / "validation-00000-of-00001.parquet")
    made().save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": made(), "validation": made()}).save_to_disk(tmp_path / "splits")
    found = [read_labelled("hub", str(tmp_path / x)) for x in ("repo", "saved", "splits:validation")]
    for one in found:
        assert (one.ids, one.answers[:, 0].tolist()) == (tuple(f"p{i}.png" for i in range(6)), [0, 1, 2, 0, 1, 2])
        assert one.classes.names == tuple(NAMES)
        assert [one.pixels(i)[0][0, 0].tolist() for i in range(6)] == [[i, 2, 3] for i in range(6)]
        assert one.sources == found[0].sources
    assert [one.name for one in found] == ["repo", "saved", "splits_validation"]
    part = pickle.loads(pickle.dumps(found[0].take(np.array([4, 2]))))
    with ThreadPoolExecutor(4) as pool:
        assert [p[0][0, 0, 0] for p in pool.map(part.pixels, [0, 1] * 20)] == [4, 2] * 20
    with pytest.raises(InputError, match="has 2 splits; choose one of train, validation as PATH:SPLIT"):
        read_labelled("hub", tmp_path / "splits")
    with pytest.raises(InputError, match="has no split 'test'; choose one of validation"):
        read_labelled("hub", str(tmp_path / "repo") + ":test")


def test_rows_without_names_are_numbered_and_bytes_read_as_files_are(tmp_path, hub):
    _, made = hub
    made(paths=False).save_to_disk(tmp_path / "a")
    found = read_labelled("hub", tmp_path / "a")
    assert found.ids[:2] == ("row-000000", "row-000001")
    made(damaged=True).save_to_disk(tmp_path / "b")
    damaged = read_labelled("hub", tmp_path / "b")
    assert damaged.pixels(0)[0].shape == (6, 8, 3)
    with pytest.raises(InputError, match=r"'row 1 of '.*b'' cannot be read as an image"):
        damaged.pixels(1)
    assert found.fingerprint() != damaged.fingerprint()


def test_hub_classes_are_matched_with_a_list(tmp_path, hub):
    _, made = hub
    listed = tmp_path / "list.csv"
    listed.write_text(LIST)
    made(names=["Dog", "n00000006", "n00000003"]).save_to_disk(tmp_path / "a")
    found = read_labelled("hub", tmp_path / "a", classes=listed)
    assert found.answers[:, 0].tolist() == [1, 3, 0] * 2
    assert found.groups[:2] == ("Dog", "n00000006")
    made().save_to_disk(tmp_path / "b")
    with pytest.raises(InputError, match=r"4 of 6 rows .* none of the 4 classes: 'cat, Felis', 'crane'"):
        read_labelled("hub", tmp_path / "b", classes=listed)
    made(labels=(0, 1, -1, 0, 1, 2)).save_to_disk(tmp_path / "c")
    with pytest.raises(InputError, match=r"1 of 6 rows .* none of the 3 classes: '-1'"):
        read_labelled("hub", tmp_path / "c")
    made(names=None, labels=(0, 3, 2, 0, 1, 2)).save_to_disk(tmp_path / "d")
    assert read_labelled("hub", tmp_path / "d", classes=listed).answers[:, 0].tolist() == [0, 3, 2, 0, 1, 2]
    with pytest.raises(InputError, match=r"numbers without names. Give the class list with --classes"):
        read_labelled("hub", tmp_path / "d")


def test_a_folder_that_is_no_dataset(tmp_path, hub):
    datasets, _ = hub
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cannot be opened .* of the Hugging Face hub"):
        read_labelled("hub", tmp_path / "empty")
    with pytest.raises(InputError, match="There is no folder 'pets'"):
        read_labelled("hub", "pets")
    datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).save_to_disk(tmp_path / "text")
    with pytest.raises(InputError, match="needs one column of images, or one called image or img; it has text, label"):
        read_labelled("hub", tmp_path / "text")


def test_without_the_library_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'gazetune\[hub\]'"):
        read_labelled("hub", "owner/name")


# real photos ------------------------------------------------------------------------------------------------------


def test_every_kind_reads_the_same_500_images(tmp_path):
    folder, sample = data_folder("imagenette_val"), data_folder("imagenet_sample")
    listed, truth = sample / "class_index.csv", sample / "ILSVRC2012_validation_ground_truth.txt"
    flat = read_labelled("imagenet", folder, classes=listed, answers=truth)
    stored = dict(zip(flat.ids, flat.answers[:, 0].tolist(), strict=True))
    table = pd.read_csv(folder / "labels.csv")
    assert stored == dict(zip(table["file"], table["index"], strict=True))
    assert (flat.fingerprint(), len(flat)) == (read_labelled("imagenet", folder, answers=truth).fingerprint(), 500)
    for path, wnid in zip(flat.paths, flat.groups, strict=True):
        (tmp_path / "brightness" / "5" / wnid).mkdir(parents=True, exist_ok=True)
        (tmp_path / "brightness" / "5" / wnid / path.name).symlink_to(path)
    for kind, path in (("imagenet", tmp_path / "brightness" / "5"), ("imagenet_c", tmp_path)):
        found = read_labelled(kind, path, classes=listed)
        assert {i.split("/")[1]: a for i, a in zip(found.ids, found.answers[:, 0], strict=True)} == stored
    with pytest.raises(InputError, match=r"do not tell|need a class list"):
        read_labelled("imagenet", tmp_path / "brightness" / "5")

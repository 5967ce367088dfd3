"""Files that would take the machine along, by their depth, numbers or what they unpack to: refused in words."""

import gzip
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from gazetune.attention.ready import read_map
from gazetune.backbones import load_backbone
from gazetune.data.classes import read_classes
from gazetune.data.coco import counts_of, load_coco
from gazetune.data.csv_files import read_csv
from gazetune.data.faults import Faults
from gazetune.data.images import read_rgb
from gazetune.data.matlab import read_matlab
from gazetune.data.salicon_json import kept_name, read_json
from gazetune.data.sources import read_labelled
from gazetune.data.table import load_table
from gazetune.documents import parse_yaml
from gazetune.documents import read_json as read_object
from gazetune.errors import InputError
from worlds import small_vit, write_study

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import fuzz_mutate
import fuzz_sets
import fuzz_study


def test_yaml_that_multiplies_or_is_nested_too_deep():
    base = parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n", "t")
    assert base["b"] == {"x": 1, "y": 2}  # aliases as such are fine
    for text, said in (
        (fuzz_study.LAUGHS.decode(), "more than 100,000 values"),
        ("[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("a: &a [*a]", "stands inside itself"),
        ("d: 2024-02-31", "is not valid YAML"),
        ("n: " + "9" * 5000, "is not valid YAML"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            parse_yaml(text, "t")
        assert len(str(caught.value)) < 1000


def test_json_that_is_nested_too_deep(tmp_path):
    path = tmp_path / "config.json"
    for text in ("[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[]", "{", "\x00"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"config\.json"):
            read_object(path)
    fuzz_sets.write_salicon(tmp_path)
    gaze = tmp_path / "fixations_val2014.json"
    whole = gaze.read_text()
    gaze.write_text(whole.replace('"fixations": [[', '"fixations": ' + "[" * 50_000 + "[[", 1))
    with pytest.raises(InputError, match="nested more than 1,000 deep"):
        read_json(gaze, Faults())
    for place in (r'"worker_id": 0', r'"image_id": 1'):
        gaze.write_text(whole.replace(place, place.split(":")[0] + ": {}", 1))
        with pytest.raises(InputError, match="annotation 0: "):
            read_json(gaze, Faults())
    gaze.write_text(whole.replace('"id": 2, "file_name"', '"id": 1, "file_name"', 1))
    with pytest.raises(InputError, match="two of its 4 share one"):
        read_json(gaze, Faults())
    gaze.write_text(whole.replace('"width": 64', '"width": 40000', 1))
    with pytest.raises(InputError, match="has what it cannot be"):
        read_json(gaze, Faults())


def test_columns_kept_of_a_json_are_made_anew_where_they_are_damaged(tmp_path, capsys):
    fuzz_sets.write_columns(tmp_path)
    path = tmp_path / "fixations_val2014.json"
    expected = read_json(path, Faults())
    kept = kept_name(path)
    kept.write_bytes(kept.read_bytes().replace(b"crc32", b"crc33"))
    found = read_json(path, Faults())
    assert "is damaged and is made anew" in capsys.readouterr().err
    assert found.workers == expected.workers and np.array_equal(found.x, expected.x)


def test_a_packed_table_that_is_a_bomb_or_damaged(tmp_path, monkeypatch):
    path = tmp_path / "fixations.csv.gz"
    rows = b"image,observer,x,y\n" + b"a.png,o,1,1\n" * 500_000
    path.write_bytes(gzip.compress(rows, 9))
    assert len(read_csv(path)) == 500_000
    monkeypatch.setattr("gazetune.data.csv_files.BOMB_BYTES", 1_000_000)
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        load_table(path)
    packed = bytearray(gzip.compress(rows[:5000]))
    packed[40] ^= 255
    path.write_bytes(packed)
    with pytest.raises(InputError, match="cannot be read as a CSV"):
        load_table(path)


def test_a_table_with_numbers_that_no_measurement_has(tmp_path):
    write_study(tmp_path, n=2, rows_per_image=3, order=lambda i: i, image_width=lambda i: 64, image_height=lambda i: 48)
    path = tmp_path / "fixations.csv"
    whole = path.read_text()
    for old, new, said in (
        (",0,64,48", ",1e300,64,48", "line 2: 'order' is above 2,147,483,647"),
        (",0,64,48", f",{'9' * 400},64,48", "line 2: 'order'"),
        (",64,48", ",1000000,1000000", "an image of 1000000x1000000"),
    ):
        path.write_text(whole.replace(old, new, -1 if "000" in new else 1))
        with pytest.raises(InputError, match=said):
            load_table(tmp_path)


@pytest.mark.parametrize(
    "row", ["p000.png,cup,..,2,3,4,", 'p000.png,cup,,,,,"1 1, 9e9 1, 9 9"', "p000.png,cup,1,1,9e9,9,"]
)
def test_objects_that_would_be_drawn_for_ever(tmp_path, row):
    write_study(tmp_path, n=1)
    (tmp_path / "objects.csv").write_text(f"image,category,x,y,width,height,outline\n{row}\n")
    with pytest.raises(InputError, match="line 2"):
        load_table(tmp_path)


def test_names_that_no_file_can_have(tmp_path):
    write_study(tmp_path, n=1)
    for name in ("x" * 5000, "a\x00b", ".."):
        (tmp_path / "labels.csv").write_text(f"file,label\n{name},a\n")
        with pytest.raises(InputError, match=r"are not there|cannot be read"):
            read_labelled("labels", tmp_path)


def test_matlab_files_that_bring_scipy_down(tmp_path):
    path = tmp_path / "meta.mat"
    for content in (
        fuzz_mutate.mat_deep(5000), fuzz_mutate.mat_deep(5000, packed=False), fuzz_mutate.mat_bomb(300), b"", b"MATLAB",
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"meta\.mat"):
            read_classes(path)
    path.write_bytes(fuzz_mutate.mat_deep(10))
    assert "__header__" in read_matlab(path)
    fuzz_sets.write_mats(tmp_path)
    for packed in ("packed", "plain"):  # dimensions that are not those of what follows
        whole = (tmp_path / packed / "fixations.mat").read_bytes()
        assert set(read_matlab(tmp_path / packed / "fixations.mat")) >= {"fixations"}
        path.write_bytes(whole[:-20])
        with pytest.raises(InputError):
            read_matlab(path)


def test_run_lengths_are_read_as_pycocotools_reads_them():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = np.asfortranarray(rng.random((rng.integers(1, 40), rng.integers(1, 90))) < rng.random(), dtype=np.uint8)
        runs = counts_of(rle.encode(drawn)["counts"].decode())
        again = np.repeat(np.arange(len(runs)) % 2, runs).reshape(drawn.shape, order="F")
        assert np.array_equal(again, drawn)
    assert counts_of("13") == [1, 3]
    for counts in ("", "P", "\x00", "O", [], [1.5], [-1], [2**40], [True]):
        with pytest.raises(ValueError):
            counts_of(counts)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("segmentation", [[1, 1, 1e12, 1, 5, 5]], "polygon that is not numbers"),
        ("segmentation", {"size": [48, 64], "counts": [5000, -1928]}, "run-length mask that is damaged"),
        ("segmentation", {"size": 5, "counts": [3072]}, "run-length mask of another size"),
        ("category_id", [1], "unknown category"),
        ("area", "large", "area that is no number"),
    ],
)
def test_annotations_that_bring_pycocotools_down(tmp_path, field, value, said):
    fuzz_sets.write_salicon(tmp_path)
    path = tmp_path / "instances_val2014.json"
    content = json.loads(path.read_text())
    content["annotations"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        load_coco([path], {1: (48, 64)})


def test_maps_that_say_more_than_they_hold(tmp_path):
    path = tmp_path / "a.npy"
    for kind, shape in (
        ("'<f4'", "(1000000, 1000000)"),
        ("'<f4'", "(9, 9)"),
        ("'<U9'", "(3, 3)"),
        ("'<f4'", "(-1, 3)"),
    ):
        said = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said + bytes(40))
        with pytest.raises(InputError, match="cannot be read as a saliency map"):
            read_map(path)
    target = io.BytesIO()
    np.savez(target, a=np.ones((3, 3)))
    path.write_bytes(target.getvalue())
    with pytest.raises(InputError, match="cannot be read as a saliency map"):
        read_map(path)
    (tmp_path / "b.png").write_bytes(fuzz_mutate.png_bomb(40, 0)[:16] + struct.pack(">II", 50_000, 50_000) + bytes(50))
    with pytest.raises(InputError):
        read_map(tmp_path / "b.png")


def test_strips_of_large_photos_are_the_photo(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (33, 20, 4), dtype=np.uint8)).save(tmp_path / "see-through.png")
    Image.fromarray(rng.integers(0, 65535, (33, 20), dtype=np.uint16)).save(tmp_path / "deep.png")
    whole = [read_rgb(tmp_path / name) for name in ("see-through.png", "deep.png")]
    monkeypatch.setattr("gazetune.data.images.STRIP_PIXELS", 100)
    for expected, name in zip(whole, ("see-through.png", "deep.png"), strict=True):
        assert np.array_equal(read_rgb(tmp_path / name), expected)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"num_hidden_layers": 10**6}),
        ("config.json", {"num_hidden_layers": 0}),
        ("config.json", {"hidden_size": 10**8}),
        ("config.json", {"image_size": 10**6}),
        ("config.json", {"num_attention_heads": "/etc/passwd"}),
        ("preprocessor_config.json", {"image_mean": [0.5, 0.5]}),
        ("preprocessor_config.json", {"image_std": [0.5, 0, 0.5]}),
        ("preprocessor_config.json", {"size": {"height": "x", "width": 32}}),
    ],
)
def test_configurations_that_no_model_has(tmp_path, file, change):
    small_vit().save(tmp_path)
    path = tmp_path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError):
        load_backbone(tmp_path)

"""Files that mean harm or are damaged: refused in words, and nothing of them is run, drawn or written elsewhere."""

import ast
import gzip
import io
import json
import struct
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle
from safetensors.torch import save_file

import gazetune
from gazetune import Run, cli
from gazetune.attention.ready import read_map
from gazetune.backbones import load_backbone
from gazetune.data import fetch, fetch_salicon
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
from gazetune.errors import GazetuneError, InputError
from gazetune.loading import load_experiment
from gazetune.progress import visible
from gazetune.training.checkpoint import keeper
from gazetune.training.loop import State
from worlds import small_vit, write_study

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import fuzz_mutate
import fuzz_readers

SOURCE = Path(gazetune.__file__).parent


# nothing is run ------------------------------------------------------------------------------------------------------


def calls(tree):
    """Every call of a module as dotted text, with its keyword arguments as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def test_no_pickle_can_be_loaded():
    """No module can load a pickle, build Python objects from YAML, or run code that came with weights."""
    looked_at = 0
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not names & {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}, path
        for function, given in calls(tree):
            where, last = f"{path}: {function}", function.rpartition(".")[2]
            assert function not in ("eval", "exec", "pd.read_pickle", "torch.jit.load", "torch.hub.load"), where
            if function == "torch.load":
                assert given.get("weights_only") == "True", where
            if function in ("np.load", "numpy.load"):
                assert given.get("allow_pickle") == "False", where
                looked_at += 1
            if function.startswith("yaml.") and last in ("load", "load_all", "unsafe_load", "full_load"):
                assert given.get("Loader") in ("yaml.SafeLoader", "yaml.BaseLoader"), where
                looked_at += 1
            if last == "from_pretrained" and "model" not in function.lower():
                assert given.get("trust_remote_code", "False") == "False", where
            if last in ("extractall", "unpack_archive") or (last == "extract" and given.get("filter") != "'data'"):
                raise AssertionError(where)
    assert looked_at >= 3


def test_a_pickle_in_every_disguise_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    harm = fuzz_readers.pickled()
    said = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }\n"
    (tmp_path / "bare.npy").write_bytes(harm)
    (tmp_path / "array.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said + harm)
    for name in ("bare.npy", "array.npy"):
        with pytest.raises(InputError, match="cannot be read as a saliency map"):
            read_map(tmp_path / name)
    small_vit().save(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(harm)
    with pytest.raises(InputError, match="No usable weights"):
        load_backbone(tmp_path / "model")
    (tmp_path / "state.safetensors").write_bytes(harm)
    with pytest.raises(InputError, match="damaged or missing"):
        Run(tmp_path).tensors("state.safetensors")
    (tmp_path / "a.yaml").write_text("!!python/object/apply:os.mkdir ['pickled']")
    with pytest.raises(InputError, match="is not valid YAML"):
        load_experiment(str(tmp_path / "a.yaml"))
    assert not (tmp_path / "pickled").exists()


def test_a_photo_never_starts_another_program(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_rgb(tmp_path / "photo.png")


# nothing is written elsewhere ----------------------------------------------------------------------------------------

GOOD = {"data/a.txt": b"one\n"}
WANTED = {name: sha256(content).hexdigest() for name, content in GOOD.items()}


@pytest.mark.parametrize(
    "member",
    [
        ("../outside", b"one\n", {}),
        ("/{place}/outside", b"one\n", {}),
        ("repository/../../outside", b"one\n", {}),
        ("repository/data/a.txt", b"", {"type": tarfile.SYMTYPE, "linkname": "../../../outside"}),
        ("repository/data/a.txt", b"", {"type": tarfile.LNKTYPE, "linkname": "../outside"}),
        ("repository/data/a.txt", b"another\n", {}),
    ],
)
def test_archives_write_only_what_is_wanted_where_it_belongs(tmp_path, member):
    name, content, fields = member
    inside = tmp_path / "inside"
    inside.mkdir()
    bad = (name.replace("{place}", str(tmp_path)), content, fields)
    (tmp_path / "a.tar.gz").write_bytes(fuzz_mutate.tar([bad]))
    with pytest.raises(GazetuneError):
        fetch._unpack(tmp_path / "a.tar.gz", inside, list(WANTED), WANTED)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar.gz", "inside"]


def test_an_archive_that_says_it_is_endless_or_is_damaged_is_named(tmp_path, monkeypatch):
    good = fuzz_mutate.tar([(f"r/{name}", content, {}) for name, content in GOOD.items()])
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(good)
    fetch._unpack(archive, tmp_path / "", list(WANTED), WANTED)
    assert (tmp_path / "data" / "a.txt").read_bytes() == b"one\n"
    plain = bytearray(gzip.decompress(good))
    header = bytearray(plain[:512])
    header[156:157], header[124:136] = b"x", b"77777777777\0"  # a pax header of 8 GB
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    archive.write_bytes(gzip.compress(bytes(header) + bytes(plain[512:])))
    with pytest.raises(GazetuneError, match="archive is damaged"):
        fetch._unpack(archive, tmp_path, list(WANTED), WANTED)
    monkeypatch.setattr(fetch, "MOST_BYTES", 3)
    archive.write_bytes(good)
    with pytest.raises(GazetuneError, match="unpacks to more than 3 bytes"):
        fetch._unpack(archive, tmp_path, list(WANTED), WANTED)
    for spoilt in (good[: len(good) // 2], b"no archive"):
        archive.write_bytes(spoilt)
        with pytest.raises(GazetuneError, match="archive is damaged"):
            fetch._unpack(archive, tmp_path, list(WANTED), WANTED)
        with pytest.raises(GazetuneError, match="not the expected one"):
            fetch_salicon._take_instances(archive, tmp_path)


def test_photos_are_only_fetched_under_names_of_cocos(tmp_path):
    fuzz_readers.write_salicon(tmp_path)
    assert len(fetch_salicon._wanted(tmp_path)) == 4
    path = tmp_path / "fixations_val2014.json"
    path.write_text(path.read_text().replace("COCO_val2014_000000000001.jpg", "../../x_val2014_1.jpg"))
    with pytest.raises(InputError, match="not named as COCO"):
        fetch_salicon._wanted(tmp_path)


def test_a_record_of_a_run_cannot_have_files_removed_elsewhere(tmp_path):
    (tmp_path / "precious").write_text("x")
    run = Run(tmp_path / "run")
    for name in ("../precious", str(tmp_path / "precious")):
        run.write_json("provenance.json", {"stages": {"tables": {"inputs": {}, "outputs": {name: "0" * 64}}}})
        with pytest.raises(InputError, match="is damaged"):
            run.stage("tables", {"a": 1}, list)
    assert (tmp_path / "precious").is_file()


# nothing takes the machine along -------------------------------------------------------------------------------------


def test_yaml_that_multiplies_or_is_nested_too_deep():
    base = parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n", "t")
    assert base["b"] == {"x": 1, "y": 2}  # aliases as such are fine
    for text, said in (
        (fuzz_readers.LAUGHS.decode(), "more than 100,000 values"),
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
    fuzz_readers.write_salicon(tmp_path)
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
    fuzz_readers.write_columns(tmp_path)
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
    fuzz_readers.write_mats(tmp_path)
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
    fuzz_readers.write_salicon(tmp_path)
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


# damage is found -----------------------------------------------------------------------------------------------------


def test_every_byte_of_a_file_of_tensors_is_under_its_seal(tmp_path):
    """Also the header: a shape turned round, a type, a number in what the file says of itself."""
    run = Run(tmp_path)
    run.write_tensors("a.safetensors", {"x": torch.arange(6.0).reshape(2, 3)}, state={"step": 3})
    whole = (tmp_path / "a.safetensors").read_bytes()
    assert run.tensors("a.safetensors")["x"].shape == (2, 3)
    for old, new in (
        (b"[2,3]", b"[3,2]"),
        (b'"F32"', b'"I32"'),
        (b'step\\": 3', b'step\\": 7'),
        (b"sha256", b"sha257"),
    ):
        assert whole.count(old) == 1
        (tmp_path / "a.safetensors").write_bytes(whole.replace(old, new))
        with pytest.raises(InputError, match="is damaged"):
            run.tensors("a.safetensors")
    for place in range(0, len(whole), 7):
        (tmp_path / "a.safetensors").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError):
            run.tensors("a.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="is damaged"):
        run.tensors("b.safetensors")


def test_best_weights_that_were_damaged_while_a_training_waited_are_not_gone_on_from(study, capsys):
    run = Run(study / "run")
    keep = keeper(run, "after-s42", small_vit(), "these inputs")
    kept = keep.save_best()
    keep.save_state(State(step=4, evaluated={"4": 1.0}, best_files=kept), {"weight/a": torch.arange(3.0)})
    assert keep.load_state()[0].step == 4
    path = study / "run" / "checkpoints" / "after-s42" / "best" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert keep.load_state() is None
    assert f"'{path}' is damaged" in capsys.readouterr().err


def test_damaged_lines_of_the_log_are_said_and_stop_nothing(study, capsys):
    run = Run(study / "run")
    keep = keeper(run, "after-s42", small_vit(), "these inputs")
    run.path.mkdir(exist_ok=True)
    whole = [{"model": "after-s42", "step": step, "split": "train"} for step in (1, 2, 3)]
    lines = [*map(json.dumps, whole), '{"model": "after-s42", "stdp": 2}', '{"model": "after', "[]", '{"cut sho']
    (run.path / "log.jsonl").write_bytes("\n".join(lines).encode() + b"\xff")
    keep.save_state(State(step=2), {"weight/a": torch.arange(3.0)})
    keep.load_state()
    said = capsys.readouterr().err
    assert "line 5 is damaged" in said and "line 6 is damaged" in said and "line 7" not in said
    assert list(run.log_lines()) == [*whole[:2], {"model": "after-s42", "stdp": 2}]


@pytest.mark.parametrize("text", ["[]", '{"stages": []}', '{"stages": {"a": {"inputs": {}}}}', '{"stagez": {}}', "{"])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(InputError, match=r"provenance\.json' is damaged"):
        Run(tmp_path).stages()


def test_a_damaged_configuration_of_a_run_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").write_bytes(b"name: \xff\n")
    monkeypatch.setattr("sys.argv", ["gazetune", "score", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2 and "config.yaml" in capsys.readouterr().err


# names ---------------------------------------------------------------------------------------------------------------

NAMES = [
    "=1+1",
    "'=1",
    "''=1",
    "-x",
    "+x",
    "@x",
    "\t=x",
    "\r=x",
    "\n=x",
    "'quoted'",
    'a "b"',
    "a,b",
    "é",
    "plain",
    "a\rb",
]


def test_texts_cannot_be_formulas_and_come_back_as_they_were(tmp_path):
    import pandas as pd

    run = Run(tmp_path)
    table = pd.DataFrame({"image": NAMES, "object": NAMES, "x": np.linspace(-1, 1, len(NAMES))})
    table["mixed"] = pd.Series([-1.5, None, "=x"] * 5, dtype=object)
    run.write_table("t", table)
    read = run.table("t")
    assert read["image"].tolist() == NAMES and read["object"].tolist() == NAMES
    assert np.allclose(read["x"], table["x"]) and read["x"].dtype == np.float64
    plain = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)  # as anyone else reads it
    for column in ("image", "object"):
        assert not plain[column].str.match(r"[=+\-@\t\r\n]").any()
    assert plain["mixed"].tolist()[:3] == ["-1.5", "", "'=x"]
    assert plain["image"].str.removeprefix("'").tolist()[:1] == ["=1+1"]


def test_names_cannot_steer_a_terminal():
    assert visible("a\x1b[2Jb\x07\u202ec\n\té") == "a\ufffd[2Jb\ufffd\ufffdc\n\té"

"""Files that mean harm or are damaged: refused in words, and nothing of them is run, drawn or written elsewhere."""

import ast
import gzip
import struct
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import gazetune
from gazetune import Run
from gazetune.attention.ready import read_map
from gazetune.backbones import load_backbone
from gazetune.data import fetch, fetch_salicon
from gazetune.data.images import read_rgb
from gazetune.errors import GazetuneError, InputError
from gazetune.loading import load_experiment
from gazetune.progress import visible
from worlds import small_vit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import fuzz_mutate
import fuzz_reader
import fuzz_sets

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
    harm = fuzz_reader.pickled()
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
    fuzz_sets.write_salicon(tmp_path)
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

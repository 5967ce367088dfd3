import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from gazetune import Run, load_backbone
from gazetune.backbones import weights_hash
from gazetune.code import Code, allow, code_named, whole
from gazetune.errors import InputError
from worlds import gazetune, run_small

ROOT = Path(__file__).parents[1]
MINE = """
from pathlib import Path
from gazetune.backbones.pretrained import load_vit

HERE = Path(__file__).parent
(HERE / "was_run").touch()


def vit(folder):
    return load_vit(str(folder or HERE / "weights"))


def number(folder):
    return 7


def broken(folder):
    return 1 / 0
"""


@pytest.fixture(autouse=True)
def nothing_allowed():
    allow(False)
    yield
    allow(False)


@pytest.fixture()
def mine(study):
    (study / "mine.py").write_text(MINE)
    return study / "mine.py"


def test_names_of_code_are_told_from_names_of_weights():
    assert code_named("a/b.py:net") == Code("a/b.py", "net")
    assert code_named("my_lab.nets:net@runs/x/checkpoints/tuned-s1/best") == Code(
        "my_lab.nets", "net", "runs/x/checkpoints/tuned-s1/best"
    )
    assert str(code_named("a.py:net@b c")) == "a.py:net@b c"
    for other in ("tiny", "google/vit-base-patch16-224", "/a/b", "a/b.py", "osie=a/b", "a/b:c", "a.py:", "a.py:1"):
        assert code_named(other) is None


def test_a_name_becomes_whole_where_it_exists(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    assert whole("mine.py:vit@weights") == f"{mine}:vit@{mine.parent / 'weights'}"
    assert whole("other.py:vit") == "other.py:vit" and whole("tiny") == "tiny"


def test_code_does_not_run_before_it_is_allowed(mine, monkeypatch, capsys):
    name = f"{mine}:vit"
    for refused in (load_backbone, weights_hash):
        with pytest.raises(InputError, match="--allow-code"):
            refused(name)
    with pytest.raises(InputError, match="--allow-code"):
        load_backbone("os:getcwd")
    study = ("--data", f"table={mine.parent / 'study'}")
    assert run_small(monkeypatch, mine.parent, "--weights", name) == 2
    assert run_small(monkeypatch, mine.parent, "--weights", name, "--dry-run") == 2
    assert gazetune(monkeypatch, "compare", "--model", f"mine={name}", *study, "--output", mine.parent / "c") == 2
    assert capsys.readouterr().err.count("--allow-code") >= 3
    assert not (mine.parent / "was_run").exists() and not (mine.parent / "run").exists()
    assert load_backbone(name, allow_code=True).grid == (4, 4)
    assert (mine.parent / "was_run").exists()


def test_what_is_no_backbone_is_refused(mine):
    for name, why in {
        "number": "returned a int, which is no gazetune Backbone: it has no __call__, classes, gives, grid",
        "broken": "could not build its model: ZeroDivisionError",
        "HERE": "has no function called 'HERE'",
        "nothing": "has no function called 'nothing'",
        f"vit@{mine.parent / 'gone'}": "gone' of .* does not exist",
    }.items():
        with pytest.raises(InputError, match=why):
            load_backbone(f"{mine}:{name}", allow_code=True)
    with pytest.raises(InputError, match="takes images of 32x32; image_size: 64"):
        load_backbone(f"{mine}:vit", 64, allow_code=True)
    with pytest.raises(InputError, match=r"The file '.*none\.py' does not exist"):
        load_backbone(f"{mine.parent / 'none.py'}:vit", allow_code=True)


def test_the_hash_follows_the_file_and_the_tensors(mine):
    allow(True)
    hashes = [weights_hash(f"{mine}:vit"), weights_hash(f"{mine}:vit@{mine.parent / 'weights'}")]
    assert hashes[0] == hashes[1]  # the same file and the same tensors
    model = load_backbone(f"{mine}:vit")
    with torch.no_grad():
        next(iter(model.learnable().values())).add_(1)
    model.save(mine.parent / "weights")
    hashes.append(weights_hash(f"{mine}:vit@{mine.parent / 'weights'}"))
    mine.write_text(MINE + "# another comment\n")
    hashes.append(weights_hash(f"{mine}:vit@{mine.parent / 'weights'}"))
    assert len(set(hashes)) == 3


@pytest.mark.slow
def test_a_model_of_ones_own_goes_through_a_run_as_its_weights_would(mine, monkeypatch):
    folder, name = mine.parent, f"{mine}:vit"
    assert run_small(monkeypatch, folder, "--set", "training.max_steps=4", output="plain") == 0
    options = ("--set", "training.max_steps=4", "--allow-code", "--weights", name)
    assert run_small(monkeypatch, folder, *options, output="own") == 0
    plain, own = Run(folder / "plain"), Run(folder / "own")
    pd.testing.assert_frame_equal(own.images, plain.images)
    assert list(own.json("provenance.json")["code"]) == [name]
    assert yaml.safe_load((folder / "own/config.yaml").read_text())["models"]["after"]["weights"] == name
    assert (
        own.stages()["train/after-s42"]["inputs"]["weights"] != plain.stages()["train/after-s42"]["inputs"]["weights"]
    )
    assert gazetune(monkeypatch, "score", folder / "own") == 2  # loads the checkpoints, so it runs the code
    assert gazetune(monkeypatch, "score", folder / "own", "--allow-code") == 0
    checkpoint = folder / "own/checkpoints/after-s42"
    study = ("--data", f"table={folder / 'study'}", "--held-out", "--output", folder / "compared")
    study += ("--set", "map_size=64", "--set", "human.sigma_px=4")
    assert gazetune(monkeypatch, "compare", "--model", f"x={checkpoint}", *study, "--allow-code") == 0
    found = Run(folder / "compared").images.query("model == 'x'")["cc"].to_numpy()
    np.testing.assert_allclose(found, own.images.query("model == 'after'")["cc"].to_numpy(), atol=1e-7)


def test_the_file_in_the_docs_is_the_file():
    example = (ROOT / "examples/efficientnet_lite.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.S)
    assert example in blocks and len(example.splitlines()) <= 60

"""Files of a run that were damaged are found by their seals, named, and never gone on from."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gazetune import Run, cli
from gazetune.errors import InputError
from gazetune.training.checkpoint import keeper
from gazetune.training.loop import State
from worlds import small_vit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))


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

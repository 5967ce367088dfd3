"""Every row of docs/errors.md: message, exit code, and no partial file left behind."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from scipy.io import savemat
from transformers import IJepaConfig, IJepaModel, SwinConfig, SwinForImageClassification

from gazetune import Run
from plain_vit import PlainViT, save_as_timm
from worlds import gazetune, run_small, small_vit

ROWS = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()


@pytest.fixture()
def fails(monkeypatch, study, capsys):
    """Run the small experiment (or a command) and return what it said; checks the exit code and the directory."""

    def check(*arguments, code=2):
        capsys.readouterr()
        ended = gazetune(monkeypatch, *arguments) if arguments and arguments[0] in ("run", "score") else None
        ended = run_small(monkeypatch, study, *arguments) if ended is None else ended
        said = capsys.readouterr().err
        assert ended == code, said
        assert "Traceback" not in said
        assert not list(study.rglob("*.part"))
        return said

    return check


@pytest.mark.slow
def test_full_disk_while_the_weights_are_written(study):
    ended = limited(["run", "small.yaml", "--output", "run"], study, most_bytes=100_000)
    assert ended.returncode == 1 and "could not be written" in ended.stderr and "best" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr and not list((study / "run").rglob("*.part"))


def edit(study, change):
    table = pd.read_csv(study / "study" / "fixations.csv")
    change(table).to_csv(study / "study" / "fixations.csv", index=False)


def configure(study, change):
    settings = yaml.safe_load((study / "small.yaml").read_text())
    change(settings)
    (study / "small.yaml").write_text(yaml.safe_dump(settings))


def test_every_row_of_the_table_has_a_test():
    tables = ROWS.split("## Limits")[0]
    named = [name for name in re.findall(r"\| ([a-z_]+) \|$", tables, re.M) if name != "test"]
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert len(named) > 20 and set(named) <= here


def test_missing_folder(fails, study):
    assert "No table of fixations at" in fails("--data", study / "nowhere")


def test_missing_osie(fails, study):
    said = fails("run", "osie", "--data", study, "--output", study / "run")
    assert "No OSIE in" in said and "gazetune fetch osie" in said


def test_missing_column(fails, study):
    edit(study, lambda t: t.drop(columns="observer"))
    assert "missing: observer. It has: image, x, y" in fails()


def test_unknown_key(fails):
    assert "there is no setting 'training.epoch'; did you mean 'epochs'?" in fails("--set", "training.epoch=3")
    assert "there is no setting 'trainin'; did you mean 'training'?" in fails("--set", "trainin=3")


def test_wrong_value(fails, study):
    assert "'training.lr'" in fails("--set", "training.lr=fast")
    assert "greater than 0" in fails("--set", "training.lr=-1")
    configure(study, lambda s: s.update(reference="befor"))
    assert "there is no model (as the reference) 'befor'; did you mean 'before'?" in fails()
    (study / "small.yaml").write_text("name: [")
    assert "is not valid YAML" in fails()


def test_wrong_device(fails):
    assert "There is no device 'gpu' here; there is cpu" in fails("--device", "gpu")
    assert "'seeds" in fails("--seeds", "-1")


def test_empty_table(fails, study):
    edit(study, lambda t: t[:0])
    assert "has no row of data" in fails()


def test_broken_objects(fails, study):
    (study / "study" / "objects.csv").write_text(
        "image,category,x,y,width,height,animate\np000.png,cup,1,1,5,5,perhaps\n"
    )
    assert "objects.csv', line 2: animate must be true or false, got 'perhaps'" in fails()


def test_truncated_weights(fails, study):
    weights = study / "weights" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "No usable weights at" in fails()


def test_nan_coordinates(fails, study):
    edit(study, lambda t: t.assign(y=t.y.where(~t.index.isin([4, 9]))))
    assert "fixations.csv', line 6: 'y' is empty or NaN (2 such rows)" in fails()


def test_empty_observer(fails, study):
    edit(study, lambda t: t.assign(observer=t.observer.where(~t.index.isin([4, 9]))))
    assert "fixations.csv', line 6: 'observer' is empty (2 such rows)" in fails()


def test_many_outside(fails, study):
    edit(study, lambda t: t.assign(x=t.x * 2))
    assert re.search(r"\d+ of 480 fixations in .* lie outside their image.*Are x and y swapped", fails())


def test_missing_photo(fails, study):
    (study / "study" / "images" / "p003.png").unlink()
    assert re.search(r"1 images of .* are not in .*'p003\.png'", fails())


def test_duplicate_ids(fails, study):
    folder = study / "osie"
    (folder / "stimuli").mkdir(parents=True)
    Image.new("RGB", (800, 600)).save(folder / "stimuli" / "1001.jpg")
    gaze = {"fix_x": np.array([1.0]), "fix_y": np.array([1.0]), "fix_duration": np.array([1.0])}
    cells = np.empty(2, dtype=object)
    cells[:] = [{"img": "1001.jpg", "subjects": [gaze, gaze]}] * 2
    savemat(folder / "fixations.mat", {"fixations": cells})
    said = fails("run", "osie", "--data", folder, "--output", study / "run")
    assert "must occur once" in said and "1001.jpg" in said


def test_no_image(fails, study):
    (study / "study" / "images" / "p005.png").write_text("not a photo")
    said = fails()
    assert "1 of 24 images cannot be used" in said and "p005.png' cannot be read as an image" in said


def test_no_fixation_at_all(fails, study):
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["models"] = {"before": settings["models"]["before"]}
    settings["human"]["window_ms"] = [5000, 6000]
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    table = pd.read_csv(study / "study" / "fixations.csv").assign(onset_ms=100)
    table.to_csv(study / "study" / "fixations.csv", index=False)
    assert "No test image of 'table' has a usable fixation" in fails()


def test_skip_bad(monkeypatch, study, capsys):
    (study / "study" / "images" / "p005.png").write_text("not a photo")
    whole = (study / "study" / "images" / "p006.png").read_bytes()
    (study / "study" / "images" / "p006.png").write_bytes(whole[: len(whole) // 2])
    assert run_small(monkeypatch, study, "--skip-bad") == 0
    about = Run(study / "run").summary["datasets"]["table"]
    assert about["images_with_a_reason"] == {"unreadable": 2}
    assert about["images"] == {"train": 7, "validation": 8, "test": 7}
    assert [r["image"] for r in about["reasons"]] == ["p005.png", "p006.png"]
    assert "p005.png" in (study / "run" / "report.html").read_text()


def test_bomb(fails, study, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert re.search(r"p\d+\.png' has more than 1,000 pixels", fails())


def test_missing_weights(fails, study):
    assert "weights folder" in (said := fails("--weights", study / "gone")) and "does not exist" in said
    assert "Did you mean 'tiny'?" in fails("--weights", "tinyy")
    said = fails("--weights", study / "study")
    assert "No usable weights at" in said and "there is no config.json" in said and "ResNet or ConvNeXt" in said
    lab = save_as_timm(study / "lab", PlainViT())
    assert f"Name it timm:{lab}" in fails("--weights", lab)
    (lab / "config.json").write_text('{"model_type": "timm_wrapper"}')  # whose configuration wants a package
    assert "No usable weights at" in fails("--weights", lab)


def test_pickle_weights(fails, study):
    small_vit().save(study / "pickled")
    (study / "pickled" / "model.safetensors").unlink()
    torch.save(small_vit().model.state_dict(), study / "pickled" / "pytorch_model.bin")
    assert "safetensors" in fails("--weights", study / "pickled")


def save_model(folder, model):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 32}'
    )
    return folder


def test_unknown_family(fails, study):
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    model = IJepaModel(IJepaConfig(**shape, image_size=32, patch_size=8))
    said = fails("--weights", save_model(study / "ijepa", model))
    assert "whose tokens are known here" in said and "dinov2_with_registers" in said


def test_input_size(fails):
    said = fails("--set", "image_size=[30, 64]")
    assert "An input of 30x64 (height x width) is not whole patches of" in said and "Set image_size to [" in said


def test_no_attention(fails, study):
    model = SwinForImageClassification(
        SwinConfig(image_size=32, patch_size=4, embed_dim=12, depths=[1, 1], num_heads=[1, 2], window_size=4)
    )
    assert "is not a plain vision transformer" in fails("--weights", save_model(study / "swin", model))


def test_empty_split(fails, study):
    edit(study, lambda t: t.assign(split=t.split.replace("validation", "test")))
    assert "leaves no usable validation image" in fails()


def test_existing_run(fails, monkeypatch, study):
    assert gazetune(monkeypatch, "train", study / "small.yaml", "--output", study / "run") == 0
    said = fails()
    assert "already holds a run" in said and f"gazetune run {study / 'run'} --resume" in said


@pytest.mark.slow
def test_damaged_record(fails, monkeypatch, study):
    run_small(monkeypatch, study)
    record = study / "run" / "provenance.json"
    record.write_text(record.read_text()[:-100])
    assert re.search(r"provenance\.json' is damaged .* Delete it", fails("--resume"))
    record.unlink()
    assert run_small(monkeypatch, study, "--resume") == 0


def test_damaged_checkpoint(fails, monkeypatch, study, capsys):
    run_small(monkeypatch, study)
    weights = study / "run" / "checkpoints" / "after-s42" / "best" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit
    said = fails("score", study / "run")
    assert "after-s42/best/model.safetensors' is damaged" in said and "not used" in said and "--resume" in said
    assert run_small(monkeypatch, study, "--resume") == 0
    assert "train/after-s42: done again" in capsys.readouterr().err
    assert weights.read_bytes() == whole


def test_code(fails, study):
    configure(study, lambda s: s.update(metrics=["cc", "os:getcwd"]))
    assert "--allow-code" in fails()
    assert "has no gazetune.Metric called 'getcwd'" in fails("--allow-code")


def test_few_outside(monkeypatch, study, capsys):
    edit(study, lambda t: t.assign(x=t.x.where(t.index != 7, -1.0)))
    assert run_small(monkeypatch, study) == 0
    assert "1 of 480 fixations" in capsys.readouterr().err
    assert Run(study / "run").summary["datasets"]["table"]["fixations_outside_their_image"] == 1


def test_no_fixation(monkeypatch, study, capsys):
    edit(study, lambda t: t[~t.image.isin(["p002.png", "p003.png"])])  # one to test, one to train
    configure(
        study,
        lambda s: s["data"].update(
            split={"rule": "modulo", "modulus": 3, "train": [0], "validation": [1], "test": [2]}
        ),
    )
    assert run_small(monkeypatch, study) == 0
    assert "2 of 24 images of 'table' have no fixation" in capsys.readouterr().err
    run = Run(study / "run")
    row = run.images.query("image == 'p002.png' and model == 'after'").iloc[0]
    assert row["reason"] == "no fixation" and np.isnan(row["cc"]) and np.isfinite(row["entropy_bits"])
    assert run.summary["datasets"]["table"]["images"] == {"train": 7, "validation": 8, "test": 8}
    assert run.summary["datasets"]["table"]["images_with_a_reason"] == {"no fixation": 2}
    assert set(run.tests.query("metric == 'cc'")["n"]) == {7}


def test_constant_map(monkeypatch, study, capsys):
    blind = small_vit()
    with torch.no_grad():
        for name, parameter in blind.learnable().items():
            if ".q_proj." in name:
                parameter.zero_()  # every query asks alike: uniform attention
    blind.save(study / "blind")
    configure(study, lambda s: s["models"].update(blind={"weights": str(study / "blind"), "train": "none"}))
    assert run_small(monkeypatch, study) == 0
    assert "8 of 8 maps of 'blind' are constant" in capsys.readouterr().err
    rows = Run(study / "run").images.query("model == 'blind'")
    assert (rows["reason"] == "constant map").all() and rows["cc"].isna().all()


def limited(arguments, cwd, most_bytes=None):
    """The command line in a process of its own, whose files may not grow beyond a size."""

    def limit():
        if most_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    line = [sys.executable, "-m", "gazetune", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, preexec_fn=limit)


def test_full_disk(study):
    small_vit().save(study / "weights")
    line = ["run", "small.yaml", "--output", "run", "--set", "training.evaluate_every=1"]
    ended = limited(line, study, most_bytes=140_000)  # room for photos and weights, not for the optimiser's state
    assert ended.returncode == 1, ended.stderr
    assert (
        "could not be written" in ended.stderr
        and "resume.safetensors" in ended.stderr
        and "Traceback" not in ended.stderr
    )
    assert not list((study / "run").rglob("*.part"))
    assert load_file(study / "run" / "checkpoints" / "after-s42" / "best" / "model.safetensors")  # saved before: whole
    state = Run(study / "run").about("checkpoints/after-s42/resume.safetensors")["state"]
    assert state["step"] == 0  # the state of before the first step, without the optimiser's, had room
    assert Run(study / "run").tensors("checkpoints/after-s42/resume.safetensors")
    again = limited([*line, "--resume"], study)
    assert again.returncode == 0 and "going on from step 0" in again.stderr


def test_read_only(fails, study):
    # below a file nobody can write, not even root, who may write into read-only folders
    assert "could not be written" in fails(
        "run", study / "small.yaml", "--output", study / "small.yaml" / "run", code=1
    )


def test_busy(study):
    line = [sys.executable, "-m", "gazetune", "run", "small.yaml", "--output", "run", "--set", "training.epochs=2000"]
    first = subprocess.Popen(line, cwd=study, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not (study / "run" / "log.jsonl").is_file():
            assert first.poll() is None
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        second = limited(["run", "small.yaml", "--output", "run", "--resume"], study)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert second.returncode == 2 and f"process {first.pid}" in second.stderr
        # its own work, so that the test says the same on a busy machine
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
        assert first.poll() is None
    finally:
        first.terminate()
        _, said = first.communicate(timeout=60)
        assert first.returncode == 130, said


NAMES = [
    "a b.png",
    'it\'s "quoted".png',
    "größe-目.png",
    "<script>alert(1)</script>.png".replace("/", ""),
    "=1+1.png",
    "-x.png",
]


def test_hostile_names(monkeypatch, study):
    folder = study / "study"
    table = pd.read_csv(folder / "fixations.csv")
    tested = [f"p{i:03d}.png" for i in range(24) if i % 3 == 2][: len(NAMES)]
    for old, new in zip(tested, NAMES, strict=True):
        (folder / "images" / old).rename(folder / "images" / new)
    table["image"] = table["image"].replace(dict(zip(tested, NAMES, strict=True)))
    table.to_csv(folder / "fixations.csv", index=False)
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    assert set(NAMES) <= set(run.images["image"])
    raw = (study / "run" / "images.csv").read_text()
    assert "'=1+1.png" in raw and not re.search(r"(^|,)\"?[=+@]", raw, re.M)
    assert "<script>" not in (study / "run" / "report.html").read_text()

"""Exports of a small run: the folder, its card, ONNX, and the keys that a model came with."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import transformers as hf
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from gazetune import Run, load_backbone
from gazetune.attention import METHODS
from gazetune.attention.rollout import rollout
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.errors import GazetuneError
from gazetune.export import answering
from gazetune.export.lineage import start_of
from gazetune.export.loading_code import transformers_code
from gazetune.export.moved import how_far
from gazetune.maps import upsampled
from plain_vit import PlainViT, normalised, save_as_timm
from worlds import gazetune, run_small, small_vit, write_study

SOURCE = str(Path(__file__).parents[1] / "src")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run of two tuned models, one that began from a Hugging Face folder and one from timm's keys, and a control."""
    folder = tmp_path_factory.mktemp("world")
    write_study(
        folder / "study", n=24, label=lambda i: "abc"[i % 3], split=lambda i: ["train", "validation", "test"][i % 3]
    )
    small_vit().save(folder / "weights")
    save_as_timm(folder / "lab", PlainViT())
    hugging, theirs = {"weights": str(folder / "weights")}, {"weights": f"timm:{folder / 'lab'}"}
    experiment = {
        "name": "small",
        "data": {"kind": "table", "path": str(folder / "study"), "split": {"rule": "given"}},
        "models": {
            "before": {**hugging, "train": "none"},
            "after": {**hugging, "train": True, "label": "after | <b>"},
            "lab": {**theirs, "train": True},
            "shuffled": {**hugging, "train": True, "targets": "shuffled"},
        },
        "reference": "before",
        "map_size": 64,
        "heads": False,
        "human": {"sigma_px": 4.0},
        "training": {"lr": 1e-3, "epochs": 2, "evaluate_every": 2, "precision": "fp32", "batch_size": 4},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(experiment))
    with pytest.MonkeyPatch.context() as patch:
        assert run_small(patch, folder) == 0
    return folder


@pytest.fixture(scope="module")
def exported(world):
    with pytest.MonkeyPatch.context() as patch:
        assert gazetune(patch, "export", world / "run", "--model", "after", "--to", world / "shared") == 0
    return world / "shared"


def section(card, title):
    return re.search(rf"^## {title}[^\n]*\n(.*?)(?=^## |\Z)", card, re.M | re.S)[1]


def code_of(folder):
    return re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]


def without_gazetune(code, folder):
    """Run code in a process of its own, in a folder, where gazetune is not imported."""
    whole = f"{code}\nimport sys\nassert not [name for name in sys.modules if name.startswith('gazetune')]\n"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", whole], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_transformers_gives_the_same_logits_and_the_cards_code_the_same_map(exported, tmp_path):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8))
    photo.save(tmp_path / "photo.png")
    code = code_of(exported)
    assert 'Image.new("RGB", (640, 480), "grey")' in code
    ours = code.replace('Image.new("RGB", (640, 480), "grey")', f"Image.open({str(tmp_path / 'photo.png')!r})")
    saved = f"torch.save((output.logits, attention), {str(tmp_path / 'theirs.pt')!r})"
    without_gazetune(f"{ours}\n{saved}", exported)
    logits, attention = torch.load(tmp_path / "theirs.pt")
    backbone = load_backbone(str(exported))
    pixels = np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC))
    with torch.no_grad():
        output = backbone(torch.tensor(pixels).permute(2, 0, 1)[None])
    assert torch.allclose(logits, output.logits, atol=1e-5)
    difference = (attention - upsampled(rollout(output), 64)[0]).abs().max()
    assert difference < 1e-4 and attention.std() > 0.05, difference  # an untrained model's map, stretched to 0..1


@pytest.mark.parametrize("kind", ["mean", "registers", "pooling head"])
def test_the_cards_code_reads_a_model_where_it_is_read(kind, tmp_path):
    """BEiT is read at the mean of its patches; of SigLIP, read by a query of its own, no map is promised."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    model = {
        "mean": lambda: hf.BeitForImageClassification(hf.BeitConfig(**shape, num_labels=3)),
        "registers": lambda: hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**shape)),
        "pooling head": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**shape, intermediate_size=48)),
    }[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    backbone = VisionTransformer(model, *HALF, (32, 32), name="small")
    backbone.save(tmp_path)
    photo = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    Image.fromarray(photo[0].permute(1, 2, 0).numpy()).save(tmp_path / "photo.png")
    with torch.no_grad():
        output = backbone(photo)
    code = transformers_code(backbone, output, "rollout", 64)
    assert transformers_code(backbone, output, "cls_attention", 64).count("attention =") == 0
    if kind == "pooling head":
        assert "rollout" not in code
        return
    code = code.replace('Image.new("RGB", (640, 480), "grey")', 'Image.open("photo.png")')
    without_gazetune(f"{code}\ntorch.save(attention, 'theirs.pt')", tmp_path)
    expected = upsampled(rollout(output), 64)[0]
    assert (torch.load(tmp_path / "theirs.pt") - expected).abs().max() < 1e-4 and expected.std() > 0.05


def test_the_folder_is_the_checkpoint_whole(exported, world):
    best = Run(world / "run").checkpoint("after")
    names = {path.name for path in best.iterdir()}
    assert {path.name for path in exported.iterdir()} == names | {"README.md", "gazetune.json"}
    assert all((exported / name).read_bytes() == (best / name).read_bytes() for name in names)


def test_the_card_says_what_the_run_says(exported, world):
    card = (exported / "README.md").read_text()
    about = ModelCard.load(exported / "README.md").data.to_dict()
    assert about["library_name"] == "transformers" and about["pipeline_tag"] == "image-classification"
    assert about["license"] == "unknown" and "base_model" not in about  # a folder with no word about its licence
    assert "# after \\| &lt;b>: ViTForImageClassification" in card and str(world) not in card
    summary = Run(world / "run").summary
    alignment = section(card, "Alignment")
    for a in summary["alignment"]:
        if a["metric"] == "cc" and a["mean"] is not None:
            assert f"{a['mean']:.3f} ± {a['sd']:.3f}" in alignment
    for rival, name in {"before": "before", "shuffled-s42": "shuffled", "human_half": "humans by halves"}.items():
        test = next(
            t for t in summary["tests"] if t["metric"] == "nss" and {t["first"], t["second"]} == {"after-s42", rival}
        )
        sign = 1 if test["first"] == "after-s42" else -1
        ends = sorted(sign * test[k] for k in ("ci_low", "ci_high"))
        row = f"| NSS ↑ | {name} | {sign * test['difference']:+.3f} | {ends[0]:.3f} to {ends[1]:.3f} | 8 |"
        assert row in alignment, alignment
    parity = next(row for row in summary["parity"] if row["first"] == "after-s42")
    said = section(card, "Parity")
    assert f"| difference, points | {100 * parity['difference']:+.2f} |" in said and "| McNemar p |" in said
    assert said.count("of 8 images") == 2
    state = summary["training"]["after-s42"]
    assert f"{state['learnable']:,} of {state['parameters']:,} parameters could learn" in card
    assert "bit for bit those of the start weights" in card and "| 2 | " in section(card, "What changed")
    assert "| data: table | unknown | unknown |" in section(card, "Data")
    assert "Abnar" in section(card, "Data") and "Rollout adds assumptions" in section(card, "What the attention")
    assert "beyond the paper" not in card and "simulated" not in card and "eye-tracking" in about["tags"]
    for line in ("- humans by halves: every second", "- shuffled: control models: tuned", "- NSS ↑: mean of the map"):
        assert card.count(f"\n{line}") == 1
    assert "*Cognitive Alignment At No Cost" in section(card, "Data")
    prose = card.replace(code_of(exported), "")
    assert "None" not in prose and "nan" not in prose


def test_a_control_and_a_lack_are_called_what_they_are(monkeypatch, world, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(world / "run", run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    moved_away = yaml.safe_dump(config).replace(str(world / "weights"), str(tmp_path / "gone"))
    (run / "config.yaml").write_text(moved_away)
    (run / "summary.json").write_text("{}")
    assert gazetune(monkeypatch, "export", run, "--model", "shuffled", "--to", tmp_path / "to") == 0
    card = (tmp_path / "to" / "README.md").read_text()
    assert "This is a **control**" in card and "A control model" in card
    assert "How far the parameters moved is unknown: the start weights are no longer where" in card
    assert "Unknown: " in section(card, "Alignment") and "summary.json' is damaged" in section(card, "Alignment")
    assert "Unknown: " in section(card, "Parity")
    (run / "config.yaml").write_text(moved_away.replace(str(tmp_path / "gone"), f"{tmp_path}/mine.py:vit"))
    assert gazetune(monkeypatch, "export", run, "--model", "after", "--to", tmp_path / "own") == 2
    assert "is a model of your own code (mine.py)" in capsys.readouterr().err and not (tmp_path / "own").exists()


def test_only_an_export_is_replaced_and_what_others_put_there_stays(monkeypatch, world, tmp_path, capsys):
    to = tmp_path / "to"
    to.mkdir()
    (to / "thesis.tex").write_text("do not lose")
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--to", to) == 2
    assert "is no export" in capsys.readouterr().err and [p.name for p in to.iterdir()] == ["thesis.tex"]
    to = tmp_path / "again"
    assert gazetune(monkeypatch, "export", world / "run", "--model", "lab", "--to", to, "--format", "timm") == 0
    (to / "notes.txt").write_text("mine")
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--to", to) == 0
    names = {p.name for p in to.iterdir()}
    assert names == {
        "notes.txt",
        "README.md",
        "gazetune.json",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert json.loads((to / "config.json").read_text())["model_type"] == "vit" and not list(tmp_path.glob(".*"))


def test_the_keys_it_came_with_and_the_engineers_own_code_takes_them(monkeypatch, world, tmp_path):
    for form in ("timm", "state_dict"):
        to = tmp_path / form
        assert gazetune(monkeypatch, "export", world / "run", "--model", "lab", "--to", to, "--format", form) == 0
        back, before = load_file(to / "model.safetensors"), PlainViT().state_dict()
        assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in before.items()}
        differ = {key for key in before if not torch.equal(before[key], back[key])}
        assert differ and all(".attn." in key for key in differ)
        assert (to / "config.json").read_bytes() == (world / "lab" / "config.json").read_bytes()
        card = (to / "README.md").read_text()
        assert ModelCard(card).data.license == "cc-by-4.0" and "bit for bit" in card  # as config.json says
    plain, tuned = PlainViT(seed=9).eval(), load_backbone(str(Run(world / "run").checkpoint("lab")))
    plain.load_state_dict(back)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(plain(normalised(images)), tuned(images).logits, atol=1e-5)
    monkeypatch.chdir(tmp_path / "state_dict")
    exec(code_of(Path()), found := {})
    assert found["tensors"].keys() == before.keys()
    assert 'timm.create_model("vit_tiny_patch16_224"' in code_of(tmp_path / "timm")


def test_other_keys_than_those_it_came_with_are_refused(monkeypatch, world, tmp_path, capsys):
    for arguments, said in {
        ("--model", "after", "--format", "timm"): "a Hugging Face model",
        ("--model", "after", "--format", "keras"): "there is huggingface, timm, state_dict",
        ("--model", "before"): "No one checkpoint 'before'",
        ("--model", "lab", "--format", "timm", "--onnx"): "leave --format out",
    }.items():
        assert gazetune(monkeypatch, "export", world / "run", *arguments, "--to", tmp_path / "to") == 2
        assert said in capsys.readouterr().err and not (tmp_path / "to").exists()


class Hub(BaseHTTPRequestHandler):
    """A hub on this machine that lists what a repository holds (none: there is no such), and lets nobody write."""

    asked: ClassVar[list[str]] = []
    holds: ClassVar[list[str]] = []

    def do_GET(self):
        files = [{"type": "file", "path": path, "size": 1, "oid": "0"} for path in self.holds]
        if files:
            self.answer(200, files, {})
        else:
            self.answer(404, {"error": "no such repository"}, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self):
        self.answer(403, {"error": "not yours"}, {})

    def answer(self, status, said, headers):
        if "agent" not in self.path:  # its client asks the hub for a list of programs that may be calling it
            self.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        body = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture()
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.asked, Hub.holds = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_TOKEN", "nobody")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Hub
    server.shutdown()
    server.server_close()


def test_nothing_is_sent_anywhere_unless_the_hub_is_named(monkeypatch, world, tmp_path, capsys, hub):
    with monkeypatch.context() as patch:
        reached = []
        patch.setattr(socket.socket, "connect", lambda _, address: reached.append(address))
        patch.setattr(socket, "getaddrinfo", lambda *address, **_: reached.append(address))
        assert gazetune(patch, "export", world / "run", "--model", "after", "--to", tmp_path / "to") == 0
    assert not reached and not hub.asked and (tmp_path / "to" / "README.md").is_file()
    capsys.readouterr()
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--to", "hub:nobody") == 2
    assert "hub:OWNER/NAME" in capsys.readouterr().err and not hub.asked
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--to", "hub:nobody/small") == 1
    assert "Nothing was sent to 'nobody/small'" in capsys.readouterr().err
    assert hub.asked[:2] == ["GET /api/models/nobody/small/tree/main", "POST /api/repos/create"]


def test_a_repository_that_holds_something_else_is_left_alone(monkeypatch, world, capsys, hub):
    hub.holds = ["thesis.tex"]
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--to", "hub:nobody/small") == 2
    assert "no export of gazetune's" in capsys.readouterr().err
    assert hub.asked == ["GET /api/models/nobody/small/tree/main"]


def test_what_is_known_of_start_weights(tmp_path):
    published = start_of("google/vit-base-patch16-224")
    assert (published.licence, published.hub) == ("apache-2.0", "google/vit-base-patch16-224")
    assert "Dosovitskiy" in published.citation
    nobody = start_of("nobody/knows")
    assert (nobody.licence, nobody.citation, nobody.hub) == ("unknown", "unknown", "nobody/knows")
    assert (start_of("microsoft/resnet-50").licence, "CVPR" in start_of("microsoft/resnet-50").citation) == (
        "apache-2.0",
        True,
    )
    assert start_of("tiny").licence == "apache-2.0" and start_of("tiny").hub is None
    (tmp_path / "lab").mkdir()
    assert start_of(str(tmp_path / "lab")).licence == "unknown"
    (tmp_path / "lab" / "README.md").write_text("---\nlicense: mit\ntags: [a]\n---\n# A model\n---\n")
    known = start_of(str(tmp_path / "lab"))
    assert (known.licence, known.hub) == ("mit", None) and str(tmp_path) not in known.name
    (tmp_path / "lab" / "README.md").write_text("# A model\nlicense: mit\n---\nlicense: gpl\n---\n")
    assert start_of(str(tmp_path / "lab")).licence == "unknown"
    assert start_of(f"timm:{save_as_timm(tmp_path / 'timm', PlainViT())}").licence == "cc-by-4.0"
    assert start_of("timm:vit_base_patch16_224.dino").hub == "timm/vit_base_patch16_224.dino"


def test_how_far_by_hand():
    def layers(*weights):
        found = nn.Module()
        found.layers = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in weights])
        with torch.no_grad():
            for layer, weight in zip(found.layers, weights, strict=True):
                layer.weight.fill_(weight)
        return found

    start, tuned = layers(3.0, 4.0, 7.0), layers(3.0, 5.0, 7.0)
    learnable = {name: p for name, p in tuned.named_parameters() if "2" not in name}
    moved = how_far(start, tuned, learnable)
    assert (moved.learnable, moved.total, moved.changed, moved.others_changed) == (2, 3, 1, 0)
    assert moved.relative == pytest.approx(1 / 5) and moved.largest == 1  # |(0, 1)| / |(3, 4)|
    assert moved.by_block == {"0": 0.0, "1": pytest.approx(0.25)} and moved.kinds == ("layers.*.weight",)
    assert how_far(start, layers(3.0, 4.0, 8.0), learnable).others_changed == 1
    for model, mean in ((start, 0.0), (tuned, 2.0)):  # 5 numbers: mean and variance of two channels, and a count
        model.norm = nn.BatchNorm1d(2)
        model.norm.running_mean[1] = mean
    norms = how_far(start, tuned, learnable)
    assert (moved.buffers, norms.buffers, norms.buffers_changed, norms.others_changed) == (0, 5, 1, 0)
    assert how_far(layers(30.0, 40.0, 70.0), layers(30.0, 50.0, 70.0), learnable).relative == moved.relative


def needs_onnx():
    for package in ("onnxruntime", "onnxscript", "onnx"):
        pytest.importorskip(package, reason=f"needs the extra 'onnx' ({package})")


@pytest.mark.slow
def test_onnx_gives_the_answers_and_the_map(world, tmp_path):
    needs_onnx()
    import onnxruntime

    # a process of its own, as a user's is: shapes checked at run time (jaxtyping in the tests) cannot be traced
    command = [sys.executable, "-m", "gazetune", "export", str(world / "run"), "--model", "after", "--onnx", "--to"]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run([*command, str(tmp_path / "to")], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = re.search(r"largest difference from PyTorch on .*3 images of noise.*4 photos \(.*\)", done.stdout)
    assert printed and printed[0] in (card := (tmp_path / "to" / "README.md").read_text()), done.stdout
    assert "opset 18" in card and "- onnx" in card
    session = onnxruntime.InferenceSession(str(tmp_path / "to" / "model.onnx"))
    assert [(o.name, o.shape[1:]) for o in session.get_outputs()] == [("logits", [3]), ("attention", [64, 64])]
    backbone = load_backbone(str(tmp_path / "to"))
    for n in (1, 5):
        images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8)
        logits, attention = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            output = backbone(images)
        np.testing.assert_allclose(logits, output.logits.numpy(), atol=1e-4)
        np.testing.assert_allclose(attention, upsampled(rollout(output), 64).numpy(), atol=1e-4)
    assert attention.min() == 0 and attention.max() == 1


ONNX_OF = """
import sys, torch
from gazetune.backbones import load_backbone
from gazetune.export.answering import write_onnx
from pathlib import Path
print(write_onnx(Path(sys.argv[1]), load_backbone(sys.argv[2]), 64, None, sys.argv[3]).words)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("mean_attention", "Mean of layers"),
        ("relevance", "Attention rollout"),  # in its place
        ("gradcam", "Grad-CAM of the class that the model itself predicts"),
    ],
)
def test_onnx_has_the_map_of_the_runs_method(method, words, tmp_path):
    needs_onnx()
    import onnxruntime

    if method == "gradcam":
        torch.manual_seed(0)
        shape = hf.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_labels=3)
        model = hf.ConvNextForImageClassification(shape)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.2)
        ConvolutionalNetwork(model, *HALF, (64, 64)).save(tmp_path / "model")
    else:
        small_vit().save(tmp_path / "model")
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-c", ONNX_OF, str(tmp_path), str(tmp_path / "model"), method]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == words
    backbone = load_backbone(str(tmp_path / "model"))
    images = torch.randint(0, 256, (4, 3, *backbone.image_size), dtype=torch.uint8)
    used = METHODS["rollout" if method == "relevance" else method]
    with torch.no_grad():
        output = used.forward(backbone, images)
        expected = upsampled(used.of(output, None), 64)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    logits, attention = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(logits, output.logits.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(attention, expected.detach().numpy(), atol=1e-4)


@pytest.mark.slow
def test_an_onnx_file_that_differs_is_not_left(monkeypatch, tmp_path):
    needs_onnx()
    export = answering._export

    def other(module, images, path, outputs):
        """What an exporter with a fault would write: another model's graph."""
        wrong = answering.Answering(small_vit(seed=1), 64).eval().requires_grad_(False)
        export(wrong, images, path, outputs)

    monkeypatch.setattr(answering, "_export", other)
    with pytest.raises(GazetuneError, match="was deleted: largest difference"):
        answering.write_onnx(tmp_path, small_vit(), 64, None)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(monkeypatch, world, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert gazetune(monkeypatch, "export", world / "run", "--model", "after", "--onnx", "--to", tmp_path / "to") == 2
    assert "pip install 'gazetune[onnx]'" in capsys.readouterr().err and not list(tmp_path.iterdir())

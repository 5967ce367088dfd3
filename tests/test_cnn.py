import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
)

from gazetune import Run, load_backbone
from gazetune.attention import METHODS
from gazetune.attention.gradcam import gradcam
from gazetune.backbones import Backbone, Output, black
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.backbones.vit import IMAGENET
from gazetune.data.synthetic import World, load_synthetic
from gazetune.errors import InputError
from gazetune.maps import densities, grid_points, upsampled
from gazetune.metrics.saliency import kl
from gazetune.training.batch_norm import learning_norms, statistics_of
from gazetune.training.checkpoint import keeper
from gazetune.training.loop import evaluate, tune
from gazetune.training.objective import objective
from test_training import Memory, fast, parts_of
from worlds import gazetune, run_small, small_vit

GRADCAM = METHODS["gradcam"]
KINDS = ("resnet", "convnext", "convnextv2")
SMALL = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 2], "num_labels": 5}


def wrapped(model, size=128):
    """A model as if it had been trained: batch norms have statistics of their own."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return ConvolutionalNetwork(model, *IMAGENET, (size, size), name="small")


def small(kind="resnet", seed=0):
    torch.manual_seed(seed)
    if kind == "resnet":
        return wrapped(ResNetForImageClassification(ResNetConfig(embedding_size=8, **SMALL)))
    made = {"convnext": ConvNextForImageClassification, "convnextv2": ConvNextV2ForImageClassification}[kind]
    config = {"convnext": ConvNextConfig, "convnextv2": ConvNextV2Config}[kind]
    model = made(config(**SMALL, layer_scale_init_value=0.5)) if kind == "convnext" else made(config(**SMALL))
    for name, parameter in model.named_parameters():
        if "grn" in name or "bias" in name:  # 0 at the start, so they would not take part
            torch.nn.init.normal_(parameter, 0, 0.3)
        elif parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0, parameter[0].numel() ** -0.5)
    return wrapped(model)


def images(n=2, size=128):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def resnet50():
    torch.manual_seed(0)
    return wrapped(ResNetForImageClassification(ResNetConfig(num_labels=1000)), 224)


def by_hooks(backbone, pixels, classes):
    """Grad-CAM as it is usually written: hooks on the last stage, one image and one backward pass at a time."""
    model = backbone.model.requires_grad_(True)
    seen = {}
    stage = model.base_model.encoder.stages[-1]
    handles = [
        stage.register_forward_hook(lambda _m, _i, out: seen.update(value=out.detach())),
        stage.register_full_backward_hook(lambda _m, _i, out: seen.update(slope=out[0])),
    ]
    maps = []
    for image, c in zip(pixels, classes, strict=True):
        model(image[None]).logits[0, c].backward()
        weights = seen["slope"][0].mean((1, 2))
        maps.append(torch.einsum("k,khw->hw", weights, seen["value"][0]).clamp(min=0))
    for handle in handles:
        handle.remove()
    model.zero_grad()
    learnable = backbone.learnable()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in learnable)
    return torch.stack(maps)


def normalised(photos):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET)
    return (photos / 255 - mean) / std


def test_gradcam_of_resnet50_equals_a_computation_by_hooks(resnet50):
    photos, classes = images(2, 224), torch.tensor([3, 907])
    resnet50.model.double()
    with torch.no_grad():
        output = GRADCAM.forward(resnet50, photos)
        found = GRADCAM.of(output, classes)
    expected = by_hooks(resnet50, normalised(photos).double(), classes)
    scale = expected.amax()
    assert found.shape == (2, 7, 7) and not found.requires_grad and scale > 0
    torch.testing.assert_close(found / scale, expected / scale, atol=1e-6, rtol=0)
    # a linear head on the mean: Grad-CAM is the class activation map of Zhou et al. (2016), divided by 49, above 0
    linear = resnet50.model.classifier[1].weight[classes]
    cam = torch.einsum("bk,bkhw->bhw", linear, output.activations).clamp(min=0) / 49
    torch.testing.assert_close(found / scale, cam.detach() / scale, atol=1e-6, rtol=0)
    resnet50.model.float()


@pytest.mark.parametrize("kind", KINDS)
def test_gradcam_of_small_networks_equals_a_computation_by_hooks(kind):
    backbone = small(kind)
    classes = torch.tensor([4, 1])
    found = GRADCAM.of(GRADCAM.forward(backbone, images()), classes).detach()
    expected = by_hooks(backbone, normalised(images()), classes)
    assert found.shape == (2, 4, 4) and expected.amax() > 0
    torch.testing.assert_close(found / expected.amax(), expected / expected.amax(), atol=1e-6, rtol=0)


def test_gradcam_by_hand():
    # two channels of 1x2; the score is 2 a00 + a01^2 - b01: its gradients are (2, 2 a01) and (0, -1), means 2, -.5
    x = torch.tensor([[[[3.0, 1.0]], [[5.0, 2.0]]]], requires_grad=True)
    score = 2 * x[:, 0, 0, 0] + x[:, 0, 0, 1].square() - x[:, 1, 0, 1]
    output = Output(score[:, None], x.flatten(1), (), 0, (1, 2), activations=x)
    # 2 * 3 - .5 * 5 and 2 * 1 - .5 * 2
    assert gradcam(output).tolist() == [[[3.5, 1.0]]]
    against = Output(-score[:, None], x.flatten(1), (), 0, (1, 2), activations=x)
    silent = gradcam(against)
    assert silent.tolist() == [[[0.0, 0.0]]]  # nothing speaks for the class
    assert upsampled(silent.detach(), 8).isnan().all()


def attention_loss(backbone, photos, target, classes):
    return kl(upsampled(GRADCAM.of(GRADCAM.forward(backbone, photos), classes), target.shape[-1]), target).mean()


def slopes(backbone, photos, names, step=1e-6):
    """The gradient of the attention loss by the largest entry of each parameter: as found, and by central differences.

    In float64; the images' own predictions are explained.
    """
    backbone.model.double()
    human = torch.rand(len(photos), 64, 64, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        classes = backbone(photos).logits.argmax(1)
    learnable = backbone.learnable()
    found = torch.autograd.grad(attention_loss(backbone, photos, human, classes), [learnable[n] for n in names])
    pairs = []
    for name, gradient in zip(names, found, strict=True):
        place, parameter = gradient.flatten().abs().argmax(), learnable[name]
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                values.append(attention_loss(backbone, photos, human, classes).item())
                parameter.view(-1)[place] -= sign * step
        pairs.append((gradient.flatten()[place].item(), (values[0] - values[1]) / (2 * step)))
    return pairs


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_attention_loss_agrees_with_central_differences(kind):
    backbone = small(kind)
    names = [n for n in backbone.learnable() if n.endswith("weight")]
    assert len(names) > 4
    for exact, difference in slopes(backbone, images(), names):
        assert abs(exact) > 1e-6 and exact == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_the_gradient_reaches_layer4_of_resnet50_as_central_differences_say():
    torch.manual_seed(1)
    backbone = wrapped(ResNetForImageClassification(ResNetConfig(num_labels=1000)), 96)
    layer = "resnet.encoder.stages.3.layers.1.layer.1"
    names = [f"{layer}.convolution.weight", f"{layer}.normalization.weight"]
    for exact, difference in slopes(backbone, images(1, 96), names):
        assert abs(exact) > 1e-6 and exact == pytest.approx(difference, rel=1e-5)


def test_what_learns_of_resnet50_is_layer4(resnet50):
    assert sum(p.numel() for p in resnet50.learnable().values()) == 14_964_736
    assert sum(p.numel() for p in resnet50.model.parameters()) == 25_557_032
    assert isinstance(resnet50, Backbone) and resnet50.gives == {"activations"} and resnet50.heads == 0
    output = black(resnet50)
    assert output.feature.shape == output.representation.shape == (1, 2048)
    assert output.activations.shape == (1, 2048, 7, 7) and output.attention == () and resnet50.grid == (7, 7)


@pytest.mark.parametrize("kind", KINDS)
def test_all_but_the_last_stage_is_bit_identical_after_three_steps(kind):
    student, memory = small(kind), Memory()
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    parts = parts_of(student, n=8)
    assert evaluate(student, parts[1], GRADCAM, fast())["distillation"] == 0.0
    tune(student, *parts, GRADCAM, fast(max_steps=3, lambda_attention=0.01), 42, memory.keeper)
    learnable = student.learnable()
    assert all(".stages.3." in name for name in learnable)
    for name, value in student.model.state_dict().items():  # the buffers, too: statistics of the batch norms
        assert torch.equal(value, before[name]) == (name not in learnable), name


def test_statistics_that_move_are_those_of_the_last_stage_and_nothing_else():
    student, memory = small(), Memory()
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    parts = parts_of(student, n=8)
    settings = fast(max_steps=3, lambda_attention=0.01, batch_norm_statistics="moving")
    tune(student, *parts, GRADCAM, settings, 42, memory.keeper)
    learnable, norms = student.learnable(), learning_norms(student)
    statistics = statistics_of(norms)
    # two layers of three convolutions each, and the shortcut; mean, variance and number of batches
    assert len(norms) == 7 and len(statistics) == 21 and all(".stages.3." in name for name in norms)
    for name, value in student.model.state_dict().items():  # conv1 to layer3, their statistics, the head
        assert torch.equal(value, before[name]) == (name not in learnable and name not in statistics), name
    assert all(int(norm.num_batches_tracked) == 3 for norm in norms.values())
    assert not any(module.training for module in student.model.modules())
    assert memory.log[0]["split"] == "validation" and memory.log[0]["distillation"] == 0.0
    assert memory.log[1]["split"] == "train" and memory.log[1]["distillation"] > 0  # already by the batch


def test_running_statistics_by_hand():
    student, memory = small(), Memory()
    parts = parts_of(student, n=8)
    first = student.model.base_model.encoder.stages[3].layers[0].layer[0]
    norm, seen = first.normalization, []
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    handle = first.convolution.register_forward_hook(lambda *given: seen.append((norm.training, given[-1].detach())))
    settings = fast(max_steps=1, lambda_attention=0.01, batch_norm_statistics="moving")
    tune(student, *parts, GRADCAM, settings, 42, memory.keeper)
    handle.remove()
    (batch,) = [values for training, values in seen if training]
    assert len(seen) == 3  # one step between two evaluations
    np.testing.assert_allclose(norm.running_mean, 0.9 * mean + 0.1 * batch.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(norm.running_var, 0.9 * var + 0.1 * batch.var((0, 2, 3)), rtol=1e-5)  # n - 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_moving_statistics_stopped_and_gone_on_are_the_same_bit_for_bit(precision):
    how = {"lambda_attention": 0.01, "batch_norm_statistics": "moving", "precision": precision, "evaluate_every": 3}
    whole, memory = small(), Memory()
    parts = parts_of(whole, n=12)
    tune(whole, *parts, GRADCAM, fast(max_steps=6, **how), 7, memory.keeper)
    first, stopped = small(), Memory()
    tune(first, *parts, GRADCAM, fast(max_steps=3, **how), 7, stopped.keeper)
    second, resumed = small(), Memory(stopped.state)
    assert tune(second, *parts, GRADCAM, fast(max_steps=6, **how), 7, resumed.keeper).step == 6
    assert stopped.losses() + resumed.losses() == memory.losses()
    assert [line["loss"] for line in memory.log[-1:]] == [line["loss"] for line in resumed.log[-1:]]
    theirs = second.model.state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in whole.model.state_dict().items())


def test_moved_statistics_are_in_the_checkpoint(tmp_path):
    student = small()
    keep = keeper(Run(tmp_path), "moved", student, "inputs")
    settings = fast(max_steps=2, lambda_attention=0.01, evaluate_every=2, batch_norm_statistics="moving")
    parts = parts_of(student, n=8)
    tune(student, *parts, GRADCAM, settings, 0, keep)
    keep.save_best()  # whichever step was the best
    again, saved = load_backbone(tmp_path / "checkpoints/moved/best").model.state_dict(), student.model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in saved.items())
    kept = Run(tmp_path).tensors("checkpoints/moved/resume.safetensors")
    moved = {name: value for name, value in kept.items() if name.startswith("statistics/")}
    assert len(moved) == 21
    assert all(torch.equal(value, saved[name.removeprefix("statistics/")]) for name, value in moved.items())


def test_statistics_that_are_not_there_cannot_move(monkeypatch, study, capsys):
    settings = fast(max_steps=1, batch_norm_statistics="moving")
    for student in (small("convnext"), small_vit()):
        with pytest.raises(InputError, match="layer norms, which keep no statistics"):
            tune(student, *parts_of(student, n=2), GRADCAM, settings, 0, Memory().keeper)
    for options in ((), ("--dry-run", "--no-measure")):
        assert run_small(monkeypatch, study, "--set", "training.batch_norm_statistics=moving", *options) == 2
        assert "'training' of the models" in capsys.readouterr().err.replace("`", "'")
    assert not (study / "run").exists()


def test_the_default_is_no_input_of_a_training():
    assert fast().what_matters() == fast(batch_norm_statistics="frozen").what_matters()
    assert "batch_norm_statistics" not in fast().what_matters()
    assert fast(batch_norm_statistics="moving").what_matters()["batch_norm_statistics"] == "moving"


def test_tuning_brings_gradcam_nearer_to_people():
    student, memory = small(), Memory()
    settings = fast(max_steps=15, lr=3e-3)
    state = tune(student, *parts_of(student, n=12), GRADCAM, settings, 0, memory.keeper)
    assert state.best_loss < state.evaluated["0"] - 0.03


def test_bf16_leaves_the_map_and_the_losses_in_float32():
    student, memory = small(), Memory()
    settings = fast(max_steps=2, precision="bf16")
    parts = parts_of(student, n=8, settings=settings)
    with torch.autocast("cpu", torch.bfloat16):
        output = GRADCAM.forward(student, images())
    found = GRADCAM.of(output, None)
    exact = GRADCAM.of(GRADCAM.forward(student, images()), output.logits.argmax(1))
    assert output.activations.dtype == torch.bfloat16 and found.dtype == torch.float32
    assert ((found - exact).abs().amax() / exact.amax()).item() < 0.05
    tune(student, *parts, GRADCAM, settings, 0, memory.keeper)
    assert np.isfinite(memory.losses()).all()


def test_the_class_that_is_asked_for_is_explained_in_training():
    student = small()
    part = parts_of(student, n=8)[0]
    outcome = {}
    for kind, classes in {"own": None, "first": torch.zeros(8, dtype=torch.long), "last": torch.full((8,), 4)}.items():
        asked = type(part)(part.pixels, part.rows, part.targets, part.teacher, classes)
        outcome[kind] = evaluate(student, asked, GRADCAM, fast())["attention"]
    assert len(set(outcome.values())) > 1 and all(np.isfinite(v) for v in outcome.values())


def test_an_image_for_which_nothing_speaks_counts_as_uniform_and_has_no_gradient():
    target = densities(grid_points(load_synthetic(World(images=2))))
    grids = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [2.0, 3.0]]], requires_grad=True)
    feature = torch.zeros(2, 3)
    loss = objective(feature, feature, grids, target, 1.0).attention
    uniform = kl(torch.ones(1, 224, 224), target[:1])
    expected = (uniform + kl(upsampled(grids.detach()[1:]), target[1:])) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    assert grids.grad[0].abs().sum() == 0 and grids.grad[1].abs().sum() > 0
    broken = torch.full((2, 2, 2), torch.nan)  # weights that have diverged are not taken for a constant map
    assert objective(feature, feature, broken, target, 1.0).attention.isnan()


def test_checkpoints_load_with_plain_transformers_alone(tmp_path):
    photos = images(1)
    np.save(tmp_path / "photo.npy", photos[0].permute(1, 2, 0).numpy())
    networks = {kind: small(kind) for kind in KINDS}
    for kind, network in networks.items():
        network.save(tmp_path / kind)
    plain = """
import sys, numpy as np, torch, transformers
for kind in sys.argv[2:]:
    folder = sys.argv[1] + "/" + kind
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        pixels = processor(np.load(sys.argv[1] + "/photo.npy"), return_tensors="pt")["pixel_values"]
        np.save(folder + "/logits.npy", model(pixels).logits.numpy())
assert "gazetune" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", plain, str(tmp_path), *KINDS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind, network in networks.items():
        with torch.no_grad():
            ours = network(photos).logits
        np.testing.assert_allclose(np.load(tmp_path / kind / "logits.npy"), ours.numpy(), atol=1e-4)
        again = load_backbone(tmp_path / kind)
        assert isinstance(again, ConvolutionalNetwork) and again.image_size == (128, 128)
        theirs = again.model.state_dict()
        assert all(torch.equal(theirs[name], value) for name, value in network.model.state_dict().items())


def test_a_network_without_a_head_gives_its_feature_and_no_logits(tmp_path):
    torch.manual_seed(0)
    ResNetModel(ResNetConfig(embedding_size=8, **SMALL)).save_pretrained(tmp_path)
    backbone = load_backbone(tmp_path, 64)
    output = black(backbone)
    assert output.logits is None and backbone.classes == () and output.activations.shape == (1, 32, 2, 2)
    assert backbone.mean == IMAGENET[0] and all(n.startswith("encoder.stages.3.") for n in backbone.learnable())


def test_size_and_normalisation_are_those_of_the_preprocessor(tmp_path):
    small().save(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    assert load_backbone(tmp_path).image_size == (224, 224) and load_backbone(tmp_path).std == IMAGENET[1]
    own = {"image_processor_type": "ConvNextImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    for size in (96, {"shortest_edge": 96}, {"height": 96, "width": 96}):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({**own, "size": size, "crop_pct": 0.875}))
        backbone = load_backbone(tmp_path)
        assert backbone.image_size == (96, 96) and (backbone.mean, backbone.std) == ((0.5,) * 3, (0.25,) * 3)
        assert backbone.normalisation() == "mean (0.5, 0.5, 0.5), SD (0.25, 0.25, 0.25)"
    photo = torch.full((1, 3, 96, 96), 255, dtype=torch.uint8)  # white is (1 - .5) / .25 = 2
    with torch.no_grad():
        assert torch.allclose(backbone(photo).logits, backbone.model(torch.full((1, 3, 96, 96), 2.0)).logits, atol=1e-5)


def test_inputs_may_be_rectangular():
    backbone = small()
    wide = ConvolutionalNetwork(backbone.model, *IMAGENET, (64, 160), name="wide")
    output = GRADCAM.forward(wide, torch.zeros(1, 3, 64, 160, dtype=torch.uint8))
    assert wide.grid == (2, 5) and GRADCAM.of(output, None).shape == (1, 2, 5)


def test_damaged_weights_are_named(tmp_path):
    small().save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"No usable weights at .*ResNetForImageClassification"):
        load_backbone(tmp_path)


def test_a_rollout_of_a_cnn_is_refused_before_any_work(monkeypatch, study, capsys):
    small().save(study / "weights")
    for options in ((), ("--dry-run",)):
        assert run_small(monkeypatch, study, *options) == 2
        said = capsys.readouterr().err
        assert "'rollout' needs attention" in said and "gives activations" in said and "gradcam" in said
    assert not (study / "run").exists()


def configure(study, target, **models):
    """The small study with a ResNet that is tuned by Grad-CAM, and more models."""
    settings = yaml.safe_load((study / "small.yaml").read_text())
    cnn = {"weights": str(study / "cnn"), "attention": "gradcam"}
    settings["models"] = {"before": cnn, "after": {**cnn, "train": True}, **models}
    settings |= {"target": target, "training": settings["training"] | {"max_steps": 4, "lambda_attention": 0.01}}
    (study / "small.yaml").write_text(yaml.safe_dump(settings))


@pytest.mark.slow
def test_a_vit_and_a_cnn_stand_in_one_table_each_with_its_method(monkeypatch, study):
    torch.manual_seed(0)
    wrapped(ResNetForImageClassification(ResNetConfig(embedding_size=8, **{**SMALL, "num_labels": 3}))).save(
        study / "cnn"
    )
    small_vit().save(study / "weights")
    configure(study, "teacher", vit={"weights": str(study / "weights")})
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    methods = run.images.dropna(subset=["model"]).groupby("model")["attention"].first()
    assert methods[["before", "after", "vit"]].tolist() == ["gradcam", "gradcam", "rollout"]
    stage = next(s for s in run.stages() if s.startswith("classes/table/"))
    kept = run.tensors(next(iter(run.stages()[stage]["outputs"])))["classes"]
    backbone, pixels = load_backbone(study / "cnn"), np.load(study / "run/cache/table-128x128.npy")
    with torch.no_grad():
        assert torch.equal(kept, backbone(torch.from_numpy(pixels)).logits.argmax(1))
    before = run.stages()
    assert run_small(monkeypatch, study, "--resume") == 0
    assert run.stages() == before  # nothing was done again
    assert run_small(monkeypatch, study, "--resume", "--set", "target=label") == 0
    after = run.stages()
    assert after["train/after-s42"]["inputs"]["target"] == "label" != before["train/after-s42"]["inputs"]["target"]
    assert after["attention/table/vit"] == before["attention/table/vit"]


def test_labels_can_only_be_explained_where_there_are_some(monkeypatch, study, capsys):
    small().save(study / "cnn")  # five classes, the study has three
    configure(study, "label")
    assert run_small(monkeypatch, study) == 2
    assert "tells the classes of 'table' apart" in capsys.readouterr().err
    table = study / "study/fixations.csv"
    lines = [line.rsplit(",", 2)[0] + "," + line.rsplit(",", 2)[2] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines) + "\n")  # without the column of labels
    assert run_small(monkeypatch, study, output="other") == 2
    assert "needs a label of every image" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cnn_goes_through_alignment_and_biases_on_the_generated_world(monkeypatch, tmp_path):
    labels = len(load_synthetic(World(images=1)).classes)
    torch.manual_seed(0)
    wrapped(ResNetForImageClassification(ResNetConfig(embedding_size=8, **{**SMALL, "num_labels": labels}))).save(
        tmp_path / "cnn"
    )
    cnn = {"weights": str(tmp_path / "cnn")}
    experiment = {
        "name": "world",
        "data": {
            "kind": "synthetic",
            "world": {"images": 60},
            "split": {"rule": "modulo", "modulus": 3, "train": [0], "validation": [1], "test": [2]},
        },
        "models": {
            "before": cnn,
            "after": {**cnn, "train": True},
            "control": {**cnn, "train": True, "targets": "shuffled"},
        },
        "reference": "before",
        "attention": "gradcam",
        "training": {"lr": 1e-3, "lambda_attention": 0.01, "max_steps": 6, "evaluate_every": 3, "precision": "fp32"},
    }
    (tmp_path / "world.yaml").write_text(yaml.safe_dump(experiment))
    assert gazetune(monkeypatch, "run", tmp_path / "world.yaml", "--output", tmp_path / "run") == 0
    run = Run(tmp_path / "run")
    scored = run.images.query("model in ('before', 'after', 'control')")
    assert len(scored) == 60 and set(scored["attention"]) == {"gradcam"} and scored["cc"].notna().mean() > 0.9
    assert {"after", "control"} <= set(run.table("contrasts")["model"])
    assert (tmp_path / "run/report.html").is_file()
    assert len(run.summary["accuracy"]) == 3


@pytest.mark.parametrize("kind", [*KINDS, "no head"])
def test_gradcam_of_the_own_prediction_written_down_is_that_of_gradients(kind):
    torch.manual_seed(2)
    body = ResNetModel(ResNetConfig(embedding_size=8, **SMALL))
    backbone = wrapped(body) if kind == "no head" else small(kind)
    backbone.model.double()
    with torch.no_grad():
        output = GRADCAM.forward(backbone, images(4))
        by_gradients, written_down = gradcam(output), backbone.own_gradcam(output)
    assert (written_down - by_gradients).abs().max() < 1e-12 * by_gradients.max() and by_gradients.max() > 0

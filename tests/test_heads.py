"""The [CLS] attention of every head and layer: captured, scored on the patch grid, as a stage of a run."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate
from transformers import (
    AutoModel,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTForImageClassification,
)

from gazetune import Run, load_backbone, load_osie, load_table
from gazetune.attention.rollout import rollout
from gazetune.backbones import capture
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.splits import members, split_of
from gazetune.errors import InputError
from gazetune.figures.heads import draw_heads
from gazetune.figures.palette import Look
from gazetune.loading import load_experiment
from gazetune.maps import Human, Points, counts, densities, grid_points, upsampled
from gazetune.metrics.heads import bilinear_matrix, grid_scores, head_scores, head_table, human_on_grid, score_heads
from gazetune.metrics.saliency import cc, nss
from worlds import gazetune, run_small, small_vit, write_study

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8}


def images(n=2, size=32, seed=1):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def points_of(*places, size=2, sigma=0.1):
    """Fixations (row, column), image by image; a sigma of 0.1 blurs nothing."""
    row, column = (np.array([p[k] for image in places for p in image], dtype=np.int16) for k in (0, 1))
    offsets = np.cumsum([0, *map(len, places)])
    sigmas = np.full((len(places), 2), sigma, np.float32)
    return Points(row, column, np.ones(len(row), np.float32), np.zeros(len(row), np.int32), offsets, sigmas, size)


def random_points(n, size, sigma, seed=0, fixations=40):
    rng = np.random.default_rng(seed)
    places = [[tuple(p) for p in rng.integers(0, size, (fixations, 2))] for _ in range(n)]
    return points_of(*places, size=size, sigma=sigma)


def on_grid(grids, points):
    """Ours: [image, map, 2]."""
    every = np.arange(len(points))
    return grid_scores(grids, *human_on_grid(points, every, tuple(grids.shape[2:])), points.size)


def enlarged(grids, points):
    """The plain way: every map enlarged, scaled and scored."""
    return torch.stack([
        torch.stack([cc(maps, densities(points).to(maps)), nss(maps, counts(points).to(maps))], -1)
        for maps in (upsampled(grids[:, k], points.size) for k in range(grids.shape[1]))
    ], dim=1).double()  # fmt: skip


# capture -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        lambda: ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=3)),
        lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**SMALL, image_size=32, num_labels=3)),
        lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, image_size=32, num_register_tokens=4)),
    ],
)
def test_heads_equal_transformers_eager_attention(model):
    torch.manual_seed(0)
    model = model().eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        eager = model((images().float() - 127.5) / 127.5, output_attentions=True).attentions
        backbone = VisionTransformer(model, *HALF, (32, 32))
        each, rows = (backbone(images(), attention=kept) for kept in ("heads", "cls"))
    assert backbone.heads == 2 and len(each.attention) == len(rows.attention) == 3
    for theirs, mine, row in zip(eager, each.attention, rows.attention, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
        torch.testing.assert_close(row, theirs[:, :, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(rows.feature, each.feature, atol=1e-5, rtol=0)
    assert rows.prefix == each.prefix == each.attention[0].shape[-1] - 16


def test_asking_for_heads_leaves_the_average_as_it_is():
    backbone = small_vit()
    before = backbone(images())
    each = backbone(images(), attention="heads")
    with pytest.raises(ValueError, match="size"):
        backbone(images(size=20), attention="cls")
    after = backbone(images())
    for old, new, heads in zip(before.attention, after.attention, each.attention, strict=True):
        assert torch.equal(old, new)
        assert torch.equal(old, heads.mean(1))
    assert torch.equal(rollout(before), rollout(after))


def test_heads_have_their_graph():
    backbone = small_vit()
    for kept in ("heads", "cls"):
        backbone.model.zero_grad()
        backbone(images(), attention=kept).attention[-1][:, 1].square().sum().backward()
        weight = next(p for name, p in backbone.learnable().items() if "weight" in name)
        assert weight.grad.abs().sum() > 0


def test_the_cls_row_respects_a_mask_and_a_scale(generator):
    query, key, value = (torch.rand(2, 3, 5, 4, dtype=torch.float64, generator=generator) for _ in range(3))
    mask = torch.rand(2, 1, 5, 5, dtype=torch.float64, generator=generator)
    module = torch.nn.Identity().eval()
    mixed, whole = capture.each_head_attention(module, query, key, value, mask, scaling=0.3)
    fused, rows = capture.cls_rows_attention(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(rows, whole[:, :, 0], atol=1e-12, rtol=0)
    torch.testing.assert_close(fused, mixed, atol=1e-12, rtol=0)


# scores on the patch grid --------------------------------------------------------------------------------------


def test_enlarging_as_a_matrix():
    assert bilinear_matrix(2, 4).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    grid = torch.rand(7, 12, dtype=torch.float64)
    large = interpolate(grid[None, None], size=(50, 50), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(bilinear_matrix(7, 50) @ grid @ bilinear_matrix(12, 50).T, large, atol=1e-12, rtol=0)


def test_scores_worked_by_hand():
    # map less its mean: 2 0 -1 -1, squares 6; density less its mean: 3 -1 -1 -1 quarters, squares 3/4
    found = on_grid(torch.tensor([[[[3.0, 1], [0, 0]]]]), points_of([(0, 0)]))
    assert found[0, 0].tolist() == pytest.approx([2 / (6 * 0.75) ** 0.5, 2 / (6 / 4) ** 0.5])
    # two fixations at the top left, one at the top right: z = (2 * 2 + 0) / 3 / SD
    found = on_grid(torch.tensor([[[[3.0, 1], [0, 0]]]]), points_of([(0, 0), (0, 0), (0, 1)]))
    assert found[0, 0, 1].item() == pytest.approx(4 / 3 / 1.5**0.5)
    # enlarged to 4x4 a step from left to right is 0 .25 .75 1: SD sqrt(5/32), z at the right edge .5 / SD
    found = on_grid(torch.tensor([[[[0.0, 1], [0, 1]]]]), points_of([(2, 3)], size=4))
    assert found[0, 0, 1].item() == pytest.approx(0.5 / (5 / 32) ** 0.5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 20), st.integers(2, 20), st.sampled_from([16, 33, 64]), st.floats(0.5, 6), st.integers(0, 2**31 - 1)
)
def test_the_patch_grid_gives_the_numbers_of_the_enlarged_maps(height, width, size, sigma, seed):
    points = random_points(2, size, sigma, seed)
    grids = torch.rand(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(on_grid(grids, points), enlarged(grids, points), atol=1e-6, rtol=1e-6)


def test_at_the_papers_size_with_attention_that_sums_to_one(generator):
    points = random_points(2, 224, 15.0, fixations=400)
    grids = torch.softmax(4 * torch.randn(2, 3, 256, generator=generator), -1).view(2, 3, 16, 16)
    found = on_grid(grids, points)
    torch.testing.assert_close(found, enlarged(grids.double(), points), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found, enlarged(grids, points), atol=1e-5, rtol=0)


def test_a_faint_pattern_on_a_high_floor_keeps_its_digits(generator):
    points = random_points(1, 64, 4.0)
    pattern = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=generator)
    floor = 1 + 1e-5 * pattern
    torch.testing.assert_close(on_grid(floor, points), on_grid(pattern, points), atol=1e-9, rtol=0)


def test_shift_and_scale_change_nothing_and_a_negative_turns_the_sign(generator):
    points = random_points(2, 64, 4.0)
    grids = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=generator)
    found = on_grid(grids, points)
    torch.testing.assert_close(on_grid(5 * grids - 3, points), found, atol=1e-10, rtol=0)
    torch.testing.assert_close(on_grid(-grids, points), -found, atol=1e-10, rtol=0)


def test_what_cannot_be_computed_is_nan():
    pattern = torch.tensor([[3.0, 1], [0, 0]])
    rounding = torch.full((2, 2), 0.25) + torch.tensor([[0, 1.5e-8], [0, 0]])
    grids = torch.stack([pattern, torch.full((2, 2), 0.25), rounding]).expand(3, 3, 2, 2)
    everywhere = [(0, 0), (0, 1), (1, 0), (1, 1)]
    found = on_grid(grids, points_of([(0, 0)], [], everywhere))
    assert found.isnan().tolist() == [
        [[False, False], [True, True], [True, True]],
        [[True, True]] * 3,  # no fixation
        [[True, False], [True, True], [True, True]],  # a constant human map has no correlation
    ]
    assert on_grid(torch.full((1, 1, 2, 2), torch.nan), points_of([(0, 0)])).isnan().all()


# models --------------------------------------------------------------------------------------------------------


def test_head_scores_of_a_model_against_the_plain_way():
    backbone, photos, points = small_vit(), images(5), random_points(5, 64, 4.0)
    asked = []

    def batch(start, stop):
        asked.append((start, stop))
        return photos[start:stop]

    found = head_scores(backbone, batch, points, batch_size=2)
    assert found.shape == (5, 3, 3, 2)
    assert asked == [(0, 2), (2, 4), (4, 5)]  # memory holds a batch
    with torch.no_grad():
        output = backbone(photos, attention="heads")
        average = backbone(photos)
    for i, layer in enumerate(output.attention):
        heads = layer[:, :, 0, 1:].reshape(5, 2, 4, 4).double()
        np.testing.assert_allclose(found[:, i, 1:], enlarged(heads, points), atol=1e-5)
        mean = average.attention[i][:, 0, 1:].reshape(5, 1, 4, 4).double()
        np.testing.assert_allclose(found[:, i, :1], enlarged(mean, points), atol=1e-5)
    whole = head_scores(backbone, lambda start, stop: photos[start:stop], points, batch_size=16)
    np.testing.assert_allclose(whole, found, atol=1e-4)


def test_a_model_without_heads_is_refused():
    backbone = small_vit()
    backbone.heads = 0
    with pytest.raises(InputError, match="no attention heads"):
        head_scores(backbone, lambda start, stop: images(1), points_of([(0, 0)]))


def test_table_worked_by_hand():
    scores = np.zeros((3, 2, 2, 2))
    scores[:, 1, 0, 0] = [0.1, 0.3, np.nan]
    scores[:, 1, 1, 1] = np.nan
    table = head_table(scores)
    assert list(table.columns) == ["layer", "head", "metric", "n", "mean", "sd", "sem"]
    assert len(table) == 2 * 2 * 2
    one = table.query("layer == 2 and head == 0 and metric == 'cc'").iloc[0]
    assert one["n"] == 2
    assert (one["mean"], one["sd"], one["sem"]) == pytest.approx((0.2, 0.02**0.5, 0.1))
    none = table.query("layer == 2 and head == 1 and metric == 'nss'").iloc[0]
    assert none["n"] == 0 and np.isnan(none["mean"])


# runs ----------------------------------------------------------------------------------------------------------


def test_a_run_scores_the_heads_of_every_model(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study) == 0
    run = Run(study / "run")
    heads = run.table("heads")
    assert list(heads.columns) == ["dataset", "model", "seed", "layer", "head", "metric", "n", "mean", "sd", "sem"]
    assert len(heads) == 3 * 3 * 3 * 2 and set(heads["n"]) == {8}
    seeds = {"before": -1, "after": 42, "shuffled": 42}
    assert set(zip(heads["model"], heads["seed"].fillna(-1), strict=True)) == set(seeds.items())
    stimuli = load_table(study / "study")
    test = stimuli.take(np.flatnonzero([part == "test" for part in stimuli.given_split]))
    for model, weights in (("before", study / "weights"), ("after", run.checkpoint("after"))):
        expected = score_heads(load_backbone(weights), test, Human(sigma_px=4.0), 64)
        found = heads[heads["model"] == model].reset_index(drop=True)
        np.testing.assert_allclose(found["mean"], expected["mean"], atol=1e-6)
        np.testing.assert_allclose(found["sem"], expected["sem"], atol=1e-6)
    drawn = run.table("figures/heads")
    assert len(drawn) == 3 * 3 * 3 and set(drawn["metric"]) == {"cc"}
    assert "How human-like each attention head is" in (study / "run" / "report.html").read_text()
    scores = study / "run" / "scores" / "table-heads-after-s42.csv"
    before = scores.read_bytes()
    scores.write_bytes(before.replace(b"0", b"1", 1))
    capsys.readouterr()
    assert run_small(monkeypatch, study, "--resume") == 0
    said = capsys.readouterr().err
    assert "heads/table/after-s42: done again" in said and "heads/table/before: done before, kept" in said
    assert scores.read_bytes() == before


def untrained(study):
    """The small study's experiment with two models that do not learn and one metric."""
    experiment = yaml.safe_load((study / "small.yaml").read_text())
    small_vit(seed=1).save(study / "others")
    starts = {"before": "weights", "after": "others"}
    experiment["models"] = {name: {"weights": str(study / start), "train": "none"} for name, start in starts.items()}
    (study / "small.yaml").write_text(yaml.safe_dump(experiment | {"metrics": ["cc"]}))


def test_heads_can_be_left_out(monkeypatch, study):
    untrained(study)
    assert run_small(monkeypatch, study) == 0
    assert len(list((study / "run").rglob("heads.*"))) == 3
    assert run_small(monkeypatch, study, "--resume", "--set", "heads=false") == 0
    left = [str(p) for p in (study / "run").rglob("heads.*")]
    assert not left, left
    assert "How human-like each attention head is" not in (study / "run" / "report.html").read_text()


@pytest.mark.slow
def test_heads_on_another_data_set_follow_its_models(monkeypatch, study, capsys):
    untrained(study)
    run_small(monkeypatch, study)
    other = write_study(study / "other", n=4, seed=9)
    assert gazetune(monkeypatch, "score", study / "run", "--data", f"table:other={other}") == 0
    assert set(Run(study / "run").table("heads")["dataset"]) == {"table", "other"}
    (study / "run" / "scores" / "other-heads-before.csv").unlink()
    assert run_small(monkeypatch, study, "--resume") == 0
    assert "other-heads-before.csv' is missing" in capsys.readouterr().err
    heads = Run(study / "run").table("heads")
    assert set(heads[heads["dataset"] == "other"]["model"]) == {"after"}
    # heads that were scored with other weights than the maps: as if scoring had gone on without them
    small_vit(seed=2).save(study / "others")
    assert run_small(monkeypatch, study, "--resume", "--set", "heads=false") == 0
    without = ("score", study / "run", "--data", f"table:other={other}")
    assert gazetune(monkeypatch, *without) == 0
    assert run_small(monkeypatch, study, "--resume", "--set", "heads=true") == 0
    assert set(Run(study / "run").table("heads")["dataset"]) == {"table"}


def test_the_figure_frames_the_best_head_and_shares_its_scale():
    means = {"a": [0.5, 0.1, 0.2, 0.9, 0.0, 0.3], "b": [0.0, -0.4, 0.1, 0.1, 0.2, 0.3]}
    cells = [(layer, head) for layer in (1, 2) for head in (0, 1, 2)]
    rows = [(key, *cell, v) for key, values in means.items() for cell, v in zip(cells, values, strict=True)]
    figure = draw_heads(pd.DataFrame(rows, columns=["key", "layer", "head", "mean"]), Look({"a": "Before"}), 0.6)
    first, second = figure.axes[:2]
    # the average over heads (.9) is no head; the best one is layer 2, head 2
    assert first.get_title() == "Before\nbest: layer 2, head 2, 0.30"
    assert second.get_title() == "b\nbest: layer 2, head 2, 0.30"
    assert first.patches[0].get_xy() == (1.5, 0.5)
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-0.4, 0.9)
    assert [t.get_text() for t in first.get_xticklabels()] == ["mean", "1", "2"]


# real data -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_osie_against_eager_attention_and_enlarged_maps(osie_folder, dinov2_folder):
    osie = load_osie(osie_folder)
    test = osie.take(members(split_of(osie, load_experiment("osie").data.split), "test", 8))
    backbone, points = load_backbone(dinov2_folder), grid_points(test)
    photos = torch.stack([torch.tensor(test.pixels(i, (224, 224))) for i in range(8)]).permute(0, 3, 1, 2)
    found = head_scores(backbone, lambda start, stop: photos[start:stop], points, 8)
    model = AutoModel.from_pretrained(dinov2_folder, dtype=torch.float32, attn_implementation="eager").eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (backbone.mean, backbone.std))
    with torch.no_grad():
        eager = model((photos / 255 - mean) / std, output_attentions=True).attentions
    for i, layer in enumerate(eager):
        heads = layer[:, :, 0, 1:].reshape(8, 6, 16, 16)
        np.testing.assert_allclose(found[:, i, 1:], enlarged(heads, points), atol=1e-5)


@pytest.mark.slow
def test_the_most_human_head_of_dinov2_small_on_osie(osie_folder, dinov2_folder):
    osie = load_osie(osie_folder)
    test = osie.take(members(split_of(osie, load_experiment("osie").data.split), "test"))
    table = score_heads(load_backbone(dinov2_folder), test).query("metric == 'cc' and head > 0")
    best = table.loc[table["mean"].idxmax()]
    assert (best["layer"], best["head"], best["n"]) == (9, 5, 100)
    assert best["mean"] == pytest.approx(0.553, abs=0.005)  # the rollout of the same model: .154

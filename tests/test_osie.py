"""Real photos, real fixations, a real pretrained transformer, small. Skipped where they are not there."""

import numpy as np
import pytest
import torch

from gazetune import Run, attention_maps, density, load_backbone, load_osie, score
from gazetune.commands import run_experiment
from gazetune.data.splits import members, split_of
from gazetune.loading import load_experiment
from gazetune.maps import grid_points, min_max
from gazetune.priors import mean_training_map

pytestmark = pytest.mark.slow

# test means of 100 images, in the order of COLUMNS (measured once, independently of this code; but not the partial
# correlation of the next image's map)
BASELINE = (0.154, 0.407, 0.679, 1.013, 0.436, 14.92, 0.635, 0.123)
MEAN_MAP = (0.462, 0.852, 0.741, 0.702, 0.535, 15.13, 0.489, 0)
NEXT_IMAGE = (0.248, 0.472, 0.669, 1.997, 0.408, 14.14, 0.514, 0.043)
TOLERANCE = (0.005, 0.02, 0.005, 0.02, 0.005, 0.02, 0.005, 0.005)
COLUMNS = ["cc", "nss", "auc_judd", "kl", "sim", "entropy_bits", "sauc", "partial_cc"]


@pytest.fixture(scope="module")
def osie(osie_folder):
    whole = load_osie(osie_folder)
    parts = split_of(whole, load_experiment("osie").data.split)
    return {name: whole.take(members(parts, name)) for name in ("train", "validation", "test")}


def agrees(table, expected):
    means = table[COLUMNS].mean().to_numpy()
    assert (np.abs(means - expected) <= TOLERANCE).all(), dict(zip(COLUMNS, means.round(4), strict=True))


def test_reads_osie(osie):
    assert {name: len(part) for name, part in osie.items()} == {"train": 500, "validation": 100, "test": 100}
    assert sum(len(part.fixations) for part in osie.values()) == 98_321
    first = osie["train"][0]
    assert (first.id, first.width, first.height) == ("1001.jpg", 800, 600)
    assert first.fixations.x[0] == pytest.approx(394.5) and first.fixations.y[0] == pytest.approx(264.7)
    assert first.fixations.duration_ms[0] == 246
    assert sorted(set(first.fixations.observer.tolist())) == list(range(15))


def test_baseline_row(osie, dinov2_folder):
    maps = attention_maps(load_backbone(dinov2_folder), osie["test"])
    agrees(score(maps, osie["test"], training=osie["train"]), BASELINE)


def test_rows_that_need_no_model(osie):
    prior = min_max(mean_training_map(grid_points(osie["train"]))[None]).expand(100, -1, -1)
    table = score(prior, osie["test"], training=osie["train"])
    agrees(table, MEAN_MAP)
    assert abs(table["ig_bits"].mean()) < 0.01  # the prior against itself, but for the min-max scaling
    following = torch.roll(density(osie["test"]), -1, 0)
    agrees(score(following, osie["test"], training=osie["train"]), NEXT_IMAGE)


def test_tuning_on_60_images_for_a_minute_is_more_than_a_centre_bias(osie_folder, dinov2_folder, tmp_path):
    settings = ("training.lr=5e-5", "training.max_steps=60", "training.evaluate_every=60", "heads=false")
    run_experiment(
        "osie", [f"{osie_folder}"], f"{dinov2_folder}", tmp_path / "run", limit=60, settings=settings, precision="auto"
    )
    tests = Run(tmp_path / "run").tests.query("first == 'tuned-s42'").set_index(["second", "metric"])
    for rival, metrics in (
        ("baseline", ("cc", "sauc")),
        ("control-s42", ("sauc", "partial_cc")),
        ("mean_training_map", ("sauc", "partial_cc")),
    ):
        for metric in metrics:
            found = tests.loc[(rival, metric)]
            assert found["n"] == 60 and found["difference"] > 0 and found["p"] < 0.01, found

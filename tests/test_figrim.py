"""Human biases of a study without photos, by the scripts that a user has; and of FIGRIM where its data are there."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from conftest import data_folder
from gazetune.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from figrim_table import fixations, objects
from human_biases import contrasts_of, human_biases

SCRIPTS = Path(__file__).parents[1] / "scripts"
# phase, contrast -> n, density of A, of B, t, d, contrast over the mean of the other images, its t
SEEN = {
    ("enc", "animacy"): (120, 0.664, 0.316, 6.31, 0.58, 0.306, 7.38),
    ("enc", "object_size"): (197, 0.221, 0.274, -1.71, -0.12, 0.037, 1.94),
    ("enc", "size_as_share"): (393, 0.324, 0.236, 3.64, 0.18, 0.081, 6.34),
    ("all", "animacy"): (120, 0.664, 0.311, 6.40, 0.58, 0.308, 7.80),
    ("all", "object_size"): (197, 0.219, 0.273, -1.71, -0.12, 0.037, 2.08),
    ("all", "size_as_share"): (393, 0.330, 0.236, 3.74, 0.19, 0.084, 6.57),
}


def small_study(folder: Path) -> dict[str, tuple[int, int]]:
    """Three images of 224x224 with one fixation each, a person in one quarter and a chair in another."""
    folder.mkdir()
    looked = {"one": (60, 60), "two": (160, 50), "three": (100, 170)}
    seen = [{"image": i, "observer": 0, "order": 0, "x": x, "y": y} for i, (x, y) in looked.items()]
    boxes = [
        {"image": i, "category": c, "x": x, "y": 20, "width": 90, "height": 90, "animate": a}
        for i in looked
        for c, x, a in (("person", 10, "true"), ("chair", 120, "false"))
    ]
    pd.DataFrame(seen).assign(image_width=224, image_height=224).to_csv(folder / "fixations.csv", index=False)
    pd.DataFrame(boxes).to_csv(folder / "objects.csv", index=False)
    return looked


def test_human_biases_of_a_study_without_photos(tmp_path):
    looked = small_study(tmp_path / "study")
    given = [tmp_path / "study", "--sigma", "20", "--output", tmp_path / "out"]
    wide = os.environ | {"COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, SCRIPTS / "human_biases.py", *given], capture_output=True, text=True, env=wide
    )
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "out" / "contrasts.csv").query("analysis == 'animacy'")
    found = found.set_index(["image", "key"])
    maps = {}
    for image, (x, y) in looked.items():
        counted = np.zeros((224, 224))
        counted[y, x] = 1
        blurred = gaussian_filter(counted, 20, mode="constant", truncate=4)
        maps[image] = blurred / blurred.sum()
    for image in looked:
        others = np.mean([maps[i] for i in looked if i != image], axis=0)
        by_hand = [(m[20:110, 10:100].sum() - m[20:110, 120:210].sum()) / 8100 * 1e4 for m in (maps[image], others)]
        assert found.loc[(image, "human"), "contrast"] == pytest.approx(by_hand[0], abs=1e-5)
        assert found.loc[(image, "human"), "over_prior"] == pytest.approx(by_hand[0] - by_hand[1], abs=1e-5)
    assert "animate - inanimate" in done.stdout and "who is left" in done.stdout


def test_what_human_biases_cannot_use_is_said(tmp_path):
    small_study(tmp_path / "study")
    own = tmp_path / "own.yaml"
    own.write_text("contrasts: {faces: {a: {categories: face}}}")
    with pytest.raises(InputError, match="Contrast 'faces': no object of the data set"):
        human_biases(tmp_path / "study", own=contrasts_of(own))
    for wrong in ("faces: {a: {categories: face}}", "contrasts: {faces: {a: face}}", "contrasts: [", ""):
        own.write_text(wrong)
        with pytest.raises(InputError, match="needs `contrasts:`"):
            contrasts_of(own)
    (tmp_path / "study" / "objects.csv").unlink()
    with pytest.raises(InputError, match="has no objects"):
        human_biases(tmp_path / "study")


@pytest.mark.slow
def test_every_judged_name_is_a_name_of_figrim():
    with gzip.open(data_folder("figrim_objects") / "objects.jsonl.gz", "rt", encoding="utf-8") as lines:
        names = {json.loads(line)["name"].strip().lower() for line in lines}
    judged = pd.read_csv(SCRIPTS / "figrim_names.csv")
    assert len(names) == 828 and set(judged["name"]) <= names and judged["name"].is_unique
    counts = {"animate": 29, "likeness": 63, "scenery": 134, "unclear": 5}
    assert judged["kind"].value_counts().to_dict() == counts


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["enc", "all"])
def test_human_biases_of_figrim(tmp_path, phase):
    """The numbers of docs/biases.md."""
    source = data_folder("figrim_objects")
    outlines = objects(source)
    assert outlines["animate"].value_counts().to_dict() == {"false": 4223, "": 3583, "true": 368}
    fixations(source, phase).to_csv(tmp_path / "fixations.csv", index=False)
    outlines.to_csv(tmp_path / "objects.csv", index=False)
    tests = human_biases(tmp_path, own=contrasts_of(SCRIPTS / "figrim_contrasts.yaml")).tests
    tests = tests.query("first == 'human'").set_index(["kind", "analysis"])
    for name in ("animacy", "object_size", "size_as_share"):
        within, over = tests.loc[("within", name)], tests.loc[("over_prior", name)]
        n, *densities, t, d, beyond, t_beyond = SEEN[phase, name]
        assert within["n"] == over["n"] == n
        assert list(within[["mean_first", "mean_second"]]) == pytest.approx(densities, abs=6e-4)
        assert list(within[["t", "d"]]) == pytest.approx([t, d], abs=6e-3)
        assert over["difference"] == pytest.approx(beyond, abs=6e-4)
        assert over["t"] == pytest.approx(t_beyond, abs=6e-3)

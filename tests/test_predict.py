import numpy as np
import pytest
import torch

from gazetune.parity.predict import accuracy, predictions


def test_predictions_by_hand():
    logits = torch.tensor([[2.0, 1, 0], [0, 1, 2], [1, 1, 0]])
    table = predictions(logits, np.array([0, 0, 1]))
    assert table["top1"].tolist() == [0, 2, 0]  # of equals the first
    assert table["correct"].tolist() == [True, False, False]
    assert table["correct_top5"].all()
    assert table["p_true"][0] == pytest.approx(np.exp(2) / np.exp([2, 1, 0]).sum())
    found = accuracy(table)
    assert (found["n"], found["top1"]) == (3, pytest.approx(1 / 3))
    assert found["top1_ci_low"] < 1 / 3 < found["top1_ci_high"]

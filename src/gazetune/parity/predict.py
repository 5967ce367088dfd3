"""What a classifier says of each image, and how often it is right."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.statistics.intervals import wilson


def predictions(logits: Float[Tensor, "image classes"], labels: Int[np.ndarray, " image"]) -> pd.DataFrame:
    """One row an image: label and top1 (places among the logits), correct, correct_top5, p_true (of the label)."""
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :5].numpy()
    probability = logits.double().softmax(1).numpy()[np.arange(len(labels)), labels]
    right = ranked == labels[:, None]
    columns = {"label": labels, "top1": ranked[:, 0], "correct": right[:, 0], "correct_top5": right.any(1)}
    return pd.DataFrame({**columns, "p_true": probability})


def accuracy(table: pd.DataFrame) -> dict[str, float | int]:
    """Top-1 and top-5 accuracy with Wilson's 95 % interval of the top-1."""
    n, right = len(table), int(table["correct"].sum())
    low, high = wilson(right, n)
    top5 = float(table["correct_top5"].mean())
    return {"n": n, "top1": right / n, "top1_ci_low": low, "top1_ci_high": high, "top5": top5}

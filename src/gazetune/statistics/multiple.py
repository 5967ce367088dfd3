"""Many tests at once."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def holm(p: ArrayLike) -> Float[np.ndarray, " test"]:
    """Holm's (1979) step-down p values: reject where they are below alpha, and the family errs at most that often.

    The i-th smallest of m is multiplied by m - i + 1, made monotone and cut at 1. A NaN (a test that could not be
    made) stays NaN and is no member of the family.

    Raises:
        ValueError: a p value lies outside 0..1.
    """
    values = np.asarray(p, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(values))
    if ((values[made] < 0) | (values[made] > 1)).any():
        raise ValueError(f"p values lie between 0 and 1; got {values.tolist()}")
    order = made[np.argsort(values[made], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(values.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted

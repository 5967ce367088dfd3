"""The numbers of tests/fixtures/bayes.csv: JZS Bayes factors by pingouin and by an integration with 40 digits.

    pip install pingouin==0.7.0 mpmath==1.4.1 pandas     (an environment of its own; never gazetune's: pingouin is GPL)
    python scripts/make_bayes_fixture.py tests/fixtures/bayes.csv

Only numbers are stored. pingouin integrates over g in floats. It is asked for the 200 common pairs only: at large t it
divides by zero, and at t = 10,000, n = 6 it is wrong without a word. mpmath integrates over another variable, and the
two must agree to 1e-7 on the 200. Five minutes on one core.
"""

import argparse
import math
from itertools import product
from pathlib import Path

import mpmath
import pandas as pd
from mpmath import mpf
from pingouin import bayesfactor_ttest

T = (0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 2.7, 4.0, 6.0, 9.0)
N = (2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 200, 500, 1000, 2000, 5000, 10_000, 18_500, 50_000, 75_000)
EXTREME = ((40.0, 5000), (60.0, 50_000), (200.0, 75_000), (1000.0, 75_000), (1e4, 6), (1e-6, 40), (30.0, 10**7))
SCALES = (0.5, 2**-0.5, 1.0, 1.414)


def ln_bf01(t: float, n: int, r: float) -> float:
    """ln BF01 with g = 1/z^2, which makes z standard normal: the integral is an expectation over z."""
    ratio, scale = mpf(t) ** 2 / (n - 1), n * mpf(r) ** 2

    def integrand(z: mpf) -> mpf:
        shrink = 1 + scale / z**2
        # divided by the likelihood at d = 0, so that it stays in range
        return mpmath.npdf(z) * mpmath.exp(
            (mpmath.log1p(ratio) - mpmath.log1p(ratio / shrink)) * n / 2 - mpmath.log(shrink) / 2
        )

    width = mpmath.sqrt(scale) / (mpf(t) + 1)
    edges = sorted({mpf(0), *(width * k for k in (0.01, 0.1, 0.5, 1, 2, 5, 10, 100)), *map(mpf, (0.1, 1, 3, 6, 12))})
    value, error = mpmath.quad(integrand, [*edges, mpmath.inf], error=True)
    assert error < 1e-15 * value, (t, n, r, value, error)
    return float(-mpmath.log(2 * value))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    mpmath.mp.dps = 40
    rows = []
    for t, n in (*product(T, N), *EXTREME):
        by_pingouin = math.nan if (t, n) in EXTREME else 1 / bayesfactor_ttest(t, n, paired=True, r=2**-0.5)
        exact = {f"ln_bf01_r{r:.3f}": ln_bf01(t, n, r) for r in SCALES}
        rows.append({"t": t, "n": n, "pingouin_bf01": by_pingouin, **exact})
    table = pd.DataFrame(rows)
    off = (table["pingouin_bf01"] / table["ln_bf01_r0.707"].map(math.exp) - 1).abs()
    print(f"{len(table)} pairs, pingouin asked for {off.notna().sum()}; largest relative difference {off.max():.1e}")
    assert off.max() < 1e-7
    table.to_csv(output, index=False, float_format="%.15g")

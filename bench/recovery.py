"""Do the bias analyses find what was planted, and nothing where nothing was? On the generated world.

    python bench/recovery.py                                     2 minutes of processor time
    python bench/recovery.py --images 100 --pool 300 --studies 200

Recovery: worlds whose observers weigh animate (or small) objects from -1 to 1 in the log; the mean contrast against the
weight, Spearman's rho. Level: from a pool of scenes with nothing planted, studies of 200 images whose maps are those of
other images; the rate of p < .05, with its 95 % binomial (Wilson) interval. Between rows: studies in which
the labels of two rows are exchanged at random, image by image. A contrast is linear in the map, so those of all pairs
of a map and a mask are one matrix product, and a study is a choice of its entries.
"""

import argparse
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from rows import Row, kept, measured, rows_option
from scipy.stats import spearmanr, t

from gazetune.biases import ANIMACY, BIASES, OBJECT_SIZE, Contrast
from gazetune.biases.compare import measures
from gazetune.biases.measure import measure
from gazetune.biases.regions import painted
from gazetune.biases.selection import left_out, members
from gazetune.biases.settings import Region
from gazetune.data.observers import Observers
from gazetune.data.stimuli import Stimuli
from gazetune.data.synthetic import World, load_synthetic
from gazetune.maps import Human, Points, densities, grid_points, min_max, sum_to_one
from gazetune.observers import every_second, only
from gazetune.priors import centre_gaussian, mean_training_map
from gazetune.statistics.intervals import wilson

SIZE, ALPHA = 224, 0.05  # of the map grid; the Gaussian of the density maps goes with it
TRAINING = 10_000  # seed of the worlds whose fixations make the prior
Values = Float[np.ndarray, "study image"]


def human() -> Human:
    """The paper's Gaussian, 15 pixels of 224."""
    return Human(sigma_px=15 * SIZE / 224)


def world(images: int, seed: int = 0, animacy: float = 0.0, size: float = 0.0) -> Stimuli:
    """Scenes seen by observers with these log-weights of animate and of small objects."""
    return load_synthetic(World(images=images, seed=seed, observers=Observers(animacy=animacy, size=size)))


def objects_of(stimuli: Stimuli) -> pd.DataFrame:
    """The objects of a data set with their visible cells."""
    even = torch.linspace(0, 1, SIZE**2).view(1, SIZE, SIZE)
    return measure(stimuli, {"any": lambda index: even.expand(len(index), -1, -1)}, SIZE, entropy=False).objects


def functionals(stimuli: Stimuli, objects: pd.DataFrame, contrast: Contrast) -> Float[np.ndarray, "image pixel"]:
    """The weight of each pixel in each image's contrast, so that contrast = weights . map (sum 1)."""
    rows = np.zeros((len(stimuli), SIZE**2), dtype=np.float32)
    sides = [(region, sign) for region, sign in ((contrast.a, 1), (contrast.b, -1)) if isinstance(region, Region)]
    for i, part in objects.groupby("position"):
        cells, weight = part["cells"].to_numpy(), np.zeros(len(part) + 1)  # the last is that of no object
        for region, sign in sides:
            inside = members(part, region) & (cells > 0)
            each = cells[inside] * inside.sum() if contrast.density == "per_object" else cells[inside].sum()
            weight[:-1][inside] += sign * 10_000 / each
        rows[i] = weight[painted(stimuli[i], SIZE).ravel()]
    return rows


def flat_maps(points: Points) -> Float[np.ndarray, "image pixel"]:
    """Density maps with sum 1."""
    return sum_to_one(densities(points)).numpy().reshape(len(points), -1)


def rejected(values: Values) -> float:
    """The share of studies whose t-test of the mean against 0 has p < .05."""
    n = values.shape[1]
    found = values.mean(1) / (values.std(1, ddof=1) / n**0.5)
    return float((2 * t.sf(np.abs(found), n - 1) < ALPHA).mean())


def report(name: str, rate: float, studies: int) -> bool:
    """Print the rate with its interval; returns whether that holds the level."""
    low, high = wilson(round(rate * studies), studies)
    print(f"  {name:58} {rate:.3f}   [{low:.3f}, {high:.3f}]{'' if low <= ALPHA <= high else '   not .05'}")
    return low <= ALPHA <= high


def row_of(title: str, name: str, rate: float, studies: int) -> list[Row]:
    """The rate of p < .05 with its interval, for the suite's table; none for the tests that are printed alone.

    The bounds are the lowest and the highest rate whose interval contains .05. The contrasts as they are have none:
    a map of another image keeps the display's centre bias.
    """
    bounded = name.startswith(("contrast, ", "entropy, ")) or ", over the prior" in name
    if not bounded and ", as it is" not in name:
        return []
    low, high = wilson(round(rate * studies), studies)
    level = [k / studies for k in range(studies + 1) if wilson(k, studies)[0] <= ALPHA <= wilson(k, studies)[1]]
    least, most = (level[0], level[-1]) if bounded else (None, None)
    item = f"false alarms, {title}: {name}"
    return [Row(item, "alpha .05", rate, float("nan"), "", rate, low, high, studies, least, most)]


@dataclass(frozen=True)
class Recovered:
    """The mean contrast, as it is and over the prior, and the d of the former, of one planted weight."""

    weight: float
    contrast: float
    over_prior: float
    d: float


def recover(what: str, images: int, weights: Float[np.ndarray, " weight"]) -> list[Recovered]:
    """The estimated effect for each planted weight of `animacy` or `size`; the other weight is 0."""
    contrast = ANIMACY if what == "animacy" else OBJECT_SIZE
    scenes = world(images)
    objects = objects_of(scenes)
    kept = pd.isna(left_out(objects, images, contrast))
    rows = functionals(scenes, objects, contrast)[kept]
    found = []
    for weight in weights:
        planted = {what: float(weight)}
        points = grid_points(world(images, **planted), human(), SIZE)
        prior = mean_training_map(grid_points(world(images, TRAINING, **planted), human(), SIZE)).numpy().ravel()
        gap = np.einsum("ip,ip->i", rows, flat_maps(points)[kept])
        over = gap - rows @ prior
        found.append(Recovered(float(weight), gap.mean(), over.mean(), gap.mean() / gap.std(ddof=1)))
    return found


def repaired(
    kept: Int[np.ndarray, " kept"], pool: int, n: int, studies: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "study n"], Int[np.ndarray, "study n"]]:
    """Studies of n images whose masks are of n of the images `kept`, and the maps of n other images of the pool."""
    masks = np.stack([rng.permutation(len(kept))[:n] for _ in range(studies)])
    maps = np.stack([rng.permutation(pool) for _ in range(studies)])
    for own, drawn in zip(masks, maps, strict=True):
        while (same := np.flatnonzero(kept[own] == drawn[:n])).size:
            spare = rng.integers(n, pool, size=same.size)[:1]
            drawn[same[:1]], drawn[spare] = drawn[spare], drawn[same[:1]]
    return masks, maps[:, :n]


def level_of_contrasts(
    pool: int, n: int, studies: int, rng: np.random.Generator, moving: bool = True
) -> dict[str, float]:
    """Rejection rates of the tests within a row, with nothing planted and every map on another image's masks.

    Such a map knows nothing of its image, but it knows where people look: the contrast is tested less that of the
    prior, the mean map of those that the studies draw from; less that of an estimated prior, the mean map of as many
    other images; and as it is, with every map moved round the edges by a random way, which leaves nothing of the
    centre. The last is the contrast as it is.
    """
    scenes, rates = world(pool), {}
    points = grid_points(scenes, human(), SIZE)
    objects, maps = objects_of(scenes), flat_maps(points)
    known, estimated = (
        mean_training_map(p).numpy().ravel() for p in (points, grid_points(world(pool, TRAINING), human(), SIZE))
    )
    for name, contrast in BIASES.items():
        kept = np.flatnonzero(pd.isna(left_out(objects, pool, contrast)))
        rows = functionals(scenes, objects, contrast)[kept]
        size = min(n, len(kept) // 3)
        own, other = repaired(kept, pool, size, studies, rng)
        pairs = maps @ rows.T
        rates[f"{name}, over the prior (n = {size})"] = rejected((pairs - rows @ known)[other, own])
        rates[f"{name}, over an estimated prior (n = {size})"] = rejected((pairs - rows @ estimated)[other, own])
        if moving:
            rates[f"{name}, maps moved round the edges (n = {size})"] = rejected(moved(maps, rows, other, own, rng))
        rates[f"{name}, as it is (n = {size})"] = rejected(pairs[other, own])
    return rates


def moved(
    maps: Float[np.ndarray, "map pixel"],
    rows: Float[np.ndarray, "mask pixel"],
    other: Int[np.ndarray, "study n"],
    own: Int[np.ndarray, "study n"],
    rng: np.random.Generator,
) -> Values:
    """The contrasts of maps that are each moved round the edges by a random way, so that no place is special."""
    values, ways = np.empty(other.shape), rng.integers(SIZE, size=(*other.shape, 2)).tolist()
    pictures = maps.reshape(-1, SIZE, SIZE)
    for study, images in enumerate(other):
        for k, image in enumerate(images):
            values[study, k] = np.roll(pictures[image], ways[study][k], (0, 1)).ravel() @ rows[own[study, k]]
    return values


def level_between_rows(pool: int, n: int, studies: int, rng: np.random.Generator) -> dict[str, float]:
    """Rejection rates of the tests between two rows whose labels are exchanged at random, image by image.

    The rows are the maps of every second observer and of the others: alike on the whole, different on each image.
    """
    scenes = world(pool)
    points = grid_points(scenes, human(), SIZE)
    second = every_second(points)
    halves = {"second": second, "others": ~second}
    rows = {n: partial(densities, only(points, keep)) for n, keep in halves.items()}
    rates = {}
    for one in measures(measure(scenes, rows, SIZE), BIASES):
        gap = (one.values[:, 0] - one.values[:, 1])[~np.isnan(one.values).any(1)]
        size = min(n, len(gap) // 3)
        if size >= 20:
            chosen = np.stack([gap[rng.permutation(len(gap))[:size]] for _ in range(studies)])
            signs = rng.choice([-1.0, 1.0], size=chosen.shape)
            rates[f"{one.kind}, {one.analysis}: {one.measure} (n = {size})"] = rejected(chosen * signs)
    return rates


def centre_contrasts(images: int) -> dict[str, tuple[float, float]]:
    """Mean contrast and d of a Gaussian fitted to all fixations of the world with nothing planted."""
    scenes = world(images)
    objects = objects_of(scenes)
    centre = sum_to_one(min_max(centre_gaussian(grid_points(scenes, human(), SIZE))[None])).numpy().ravel()
    found = {}
    for name, contrast in BIASES.items():
        gap = (functionals(scenes, objects, contrast) @ centre)[pd.isna(left_out(objects, images, contrast))]
        found[f"{name} (n = {len(gap)})"] = (float(gap.mean()), float(gap.mean() / gap.std(ddof=1)))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="of each world of the recovery")
    parser.add_argument("--pool", type=int, default=2000, help="scenes that the studies are drawn from")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--size", type=int, default=200, help="images of a study, at most a third of the pool's")
    parser.add_argument("--seed", type=int, default=0)
    rows_option(parser)
    options = parser.parse_args()
    rows: list[Row] = []
    rng = np.random.default_rng(options.seed)
    for what in ("animacy", "size"):
        print(f"planted {what}: weight, mean contrast, over the prior, d")
        found = recover(what, options.images, np.linspace(-1, 1, 9))
        for one in found:
            print(f"  {one.weight:+.2f}  {one.contrast:+.3f}  {one.over_prior:+.3f}  {one.d:+.2f}")
        for column in ("contrast", "over_prior"):
            rho = spearmanr([f.weight for f in found], [getattr(f, column) for f in found]).statistic
            print(f"  Spearman's rho of the weight and the mean {column}: {rho:.3f}")
            item = f"planted {what} and mean {column.replace('_', ' ')}, Spearman's rho of 9 worlds"
            rows.append(measured(item, "what was planted", [rho], "", at_least=0.95))
    print("a Gaussian about the centre, nothing planted: mean contrast, d")
    for name, (mean, d) in centre_contrasts(options.images).items():
        print(f"  {name:58} {mean:+.3f}  {d:+.2f}")
    for title, tested in (("maps on the masks of other images", level_of_contrasts),
                          ("labels of two rows exchanged", level_between_rows)):  # fmt: skip
        print(f"{title}: share of {options.studies} studies with p < .05 [95 % interval]")
        for name, rate in tested(options.pool, options.size, options.studies, rng).items():
            report(name, rate, options.studies)
            rows += row_of(title, name, rate, options.studies)
    kept(rows, options.rows)

"""The bias analyses of a run: contrasts of regions and sparsity, for humans, priors and every model."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from gazetune.attention.extract import open_maps
from gazetune.biases import Contrast
from gazetune.biases.analyse import Pieces, each_table
from gazetune.biases.kept import keep_objects, kept_stimuli
from gazetune.data import Stimuli
from gazetune.maps import densities
from gazetune.metrics.score import Index, Maps
from gazetune.prepared import Prepared
from gazetune.priors import Prior, of_others, of_training
from gazetune.run import Json, Run
from gazetune.tables.rows import GAUSSIAN, HUMAN, MEAN_MAP, OTHERS, Models, maps_folder, test_order

KINDS = ("contrasts", "objects", "sparsity", "bias_means", "bias_tests", "exclusions")
NAMES = {"means": "bias_means", "tests": "bias_tests"}


def objects_name(dataset: str) -> str:
    """Where the objects of the test images lie, on the map grid."""
    return f"stimuli/{dataset}-objects.safetensors"


def write_objects(run: Run, name: str, tested: Stimuli, size: int) -> list[str]:
    """Keep the objects of the test images in the run: `stimuli/NAME-objects.safetensors`."""
    tensors, about = keep_objects(tested, size)
    return [run.write_tensors(objects_name(name), tensors, **about)]


def write_biases(
    run: Run,
    test: Prepared,
    training: Prepared,
    models: Models,
    roles: Mapping[str, str],
    contrasts: Mapping[str, Contrast],
) -> list[str]:
    """`scores/NAME-contrasts.csv`, and one file for each other kind of table (see KINDS and docs/biases.md).

    Rows: humans, the centre Gaussian, the mean training map (or, where nothing was trained, the mean of the other
    images) and every model. Over the prior means: over that mean map, not scaled to 0..1.
    """
    file = objects_name(test.name)
    about = run.about(file)
    stimuli, rows, size = kept_stimuli(test.name, run.tensors(file), about), test.rows("test"), about["size"]
    kept = {image: i for i, image in enumerate(stimuli.ids)}
    usable = np.array([kept[image] for image in test.table["image"].iloc[rows]], dtype=np.int64)
    points, seen = test.points.take(rows), training.points.take(training.rows("train"))
    priors = of_training(seen) if len(seen) else of_others(points)
    prior = MEAN_MAP if priors.from_training else OTHERS
    stimuli = stimuli.take(usable)
    del about, kept  # of an older run, every object by name: hundreds of bytes each
    maps: dict[str, Maps] = {HUMAN: partial(densities, points), GAUSSIAN: partial(_every, priors.gaussian)}
    maps[prior] = partial(_every, priors.mean_map)
    maps |= {key: open_maps(run, maps_folder(test.name, key), size) for key in models}
    found = each_table(stimuli, maps, contrasts, test_order(roles), prior, size)

    def write(kind: str, pieces: Pieces) -> str:
        return run.write_pieces(
            f"scores/{test.name}-{NAMES.get(kind, kind)}", lambda: (_named(t, models) for t in pieces())
        )

    return [write(kind, pieces) for kind, pieces in found]


def _every(prior: Prior, index: Index) -> Float[Tensor, "batch height width"]:
    return prior(index).expand(len(index), -1, -1)


def _named(table: pd.DataFrame, models: Models) -> pd.DataFrame:
    """Tables of single images and objects with model and seed in place of the key; of means, the key as the model."""
    if "key" not in table:
        return table
    if "mean" in table:
        return table.rename(columns={"key": "model"})
    names = {key: name for key, (name, _) in models.items()}
    seeds = {key: seed for key, (_, seed) in models.items()}
    place = list(table.columns).index("key")
    found = table.drop(columns="key")
    found.insert(place, "model", table["key"].map(lambda key: names.get(key, key)))
    found.insert(place + 1, "seed", pd.Series([seeds.get(key) for key in table["key"]], dtype="Int64"))
    return found


def gather_biases(run: Run, datasets: Sequence[str]) -> tuple[list[str], dict[str, Json]]:
    """contrasts.csv and the other kinds, over these data sets; their names, and what the summary says of them."""
    written, said = [], dict[str, Json]()
    for kind in KINDS if datasets else ():
        table = pd.concat([run.table(f"scores/{name}-{kind}") for name in datasets], ignore_index=True)
        written.append(run.write_table(kind, table))
        if kind in ("bias_means", "bias_tests", "exclusions"):
            said[kind] = table.to_dict("records")
    return written, said

"""The rows of every alignment table: humans, what needs no image, and models."""

from collections.abc import Mapping

import pandas as pd

HUMAN, HALF, ONE_OUT = "human", "human_half", "human_one_out"
GAUSSIAN, MEAN_MAP, OTHERS, NEXT = "centre_gaussian", "mean_training_map", "other_images", "next_image"
ROWS = {  # rows that are no model, as they are called
    HUMAN: "human",
    HALF: "humans by halves",
    ONE_OUT: "humans, one left out",
    GAUSSIAN: "centre Gaussian",
    MEAN_MAP: "mean training map",
    OTHERS: "mean of other images",
    NEXT: "next image's map",
}
PRIORS = (MEAN_MAP, OTHERS)  # the first of these in a table is its centre prior
CEILING = HALF
Models = Mapping[str, tuple[str, int | None]]  # key of a model -> its name and seed


def maps_folder(dataset: str, key: str) -> str:
    """Where the attention grids of a model on a data set lie."""
    return f"attention/{dataset}/{key}"


def keyed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `key`: the model's name, with its seed where it has one."""
    seed = table["seed"].astype("string")
    return table.assign(key=table["model"].where(seed.isna(), table["model"] + "-s" + seed.fillna("")))


def test_order(roles: Mapping[str, str]) -> list[str]:
    """The order in which rows are tested, later against earlier: humans, reference, priors, controls, tuned."""
    ranked = sorted(roles, key=lambda key: ("reference", "other", "control", "tuned").index(roles[key]))
    reference = [key for key in ranked if roles[key] == "reference"]
    return [
        *(HUMAN, HALF, ONE_OUT),
        *reference,
        *(GAUSSIAN, MEAN_MAP, OTHERS, NEXT),
        *(key for key in ranked if roles[key] != "reference"),
    ]

"""The table of predictions: one row per model, head, image and corrupted copy."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from gazetune.data.labelled import Labelled
from gazetune.data.photos import tunable
from gazetune.errors import InputError
from gazetune.parity.compare import OWN
from gazetune.parity.probe import probe
from gazetune.parity.settings import Classification

Copies = Sequence[tuple[str, int]]


def view_table(name: str, labelled: Labelled, copies: Copies, reasons: Mapping[int, str]) -> pd.DataFrame:
    """What was to be classified, one row a view: place, dataset, image, class, label, corruption, severity, reason.

    Args:
        name: of the data set. copies: (corruption, severity) of every copy of each image. reasons: why views are
            missing, by place.
    """
    n = len(labelled)
    index, copy = np.divmod(np.arange(n * len(copies)), len(copies))
    corrupted = labelled.corrupted or [copies[c] for c in copy]
    table = pd.DataFrame(
        {
            "place": np.arange(n * len(copies)),
            "dataset": name,
            "image": np.array(labelled.ids, dtype=object)[index],
            "class": np.array(_class_of_each(labelled), dtype=object)[index],
            "label": labelled.answers[index, 0],
        }
    )
    if any(corruption for corruption, _ in corrupted):
        table["corruption"], table["severity"] = zip(*corrupted, strict=True)
    return table.assign(reason=pd.Series([reasons.get(place) for place in table["place"]], dtype=object))


def _class_of_each(labelled: Labelled) -> list[str]:
    """The class of each image in words; where several answers are right, as the data set calls it."""
    several = (labelled.answers >= 0).sum(axis=1) > 1
    places = labelled.answers[:, 0].tolist()
    return [
        group if more else labelled.classes.names[place]
        for place, group, more in zip(places, labelled.groups, several.tolist(), strict=True)
    ]


def with_answers(views: pd.DataFrame, said: pd.DataFrame, model: str, seed: int | None) -> pd.DataFrame:
    """The views with what a model says of each, once for each head; what is not known of a missing view stays empty."""
    parts = []
    for head, part in said.groupby("head", sort=False):
        both = views.merge(part.drop(columns="head"), how="left", on="place", validate="one_to_one")
        parts.append(both.assign(model=model, seed=seed, head=head).astype({"seed": "Int64"}))
    return pd.concat(parts, ignore_index=True).drop(columns="place")


def probed(
    said: Mapping[str, pd.DataFrame],
    vectors: Mapping[str, Float[np.ndarray, "there dim"]],
    labelled: Labelled,
    reference: str,
    settings: Classification,
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The answers of every model with the head they come from, and why models without a head have none.

    Args:
        said: by model, what is known of its views (place, border_px, and with a head the answers). vectors: of models
            without a head, what one would sit on. reference: the model whose vectors the frozen probe is fitted on.
    """
    answers = {key: table.assign(head=OWN) for key, table in said.items() if key not in vectors}
    if not vectors:
        return answers, {}
    if reference not in vectors:
        why = f"has no classification head, and the reference '{reference}' has one: there is nothing to compare"
        return answers, {key: f"'{key}' {why}." for key in vectors}
    try:
        places = said[reference]["place"].to_numpy()
        labels = tunable(labelled).answers[places, 0]  # a probe is fitted on these images
        names = labelled.classes.names
        table = probe(vectors, labels, reference, settings.folds, settings.probe_seed, names)
    except InputError as reason:
        return answers, dict.fromkeys(vectors, f"no linear probe: {reason}")
    refused: dict[str, str] = {}
    for (key, head), part in table.groupby(["key", "head"], sort=False):
        if part["reason"].notna().all():
            refused[str(key)] = f"'{key}', {head}: {part['reason'].iloc[0]}."
            continue
        known = part.drop(columns=["key", "label", "reason"]).reset_index(drop=True)
        known = said[str(key)].reset_index(drop=True).join(known)
        answers[str(key)] = pd.concat([answers[str(key)], known], ignore_index=True) if str(key) in answers else known
    return answers, refused

"""What a classifier says of each image, and how often it is right; in a run, shard by shard on disk."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune import processes
from gazetune.backbones import Backbone
from gazetune.parity.views import Batch, View, batches_of
from gazetune.progress import track
from gazetune.run import Run
from gazetune.statistics.intervals import wilson

SHARD = 1024  # views a file
NOT_A_NUMBER = "the model's answer is not a number"


def predictions(
    logits: Float[Tensor, "image classes"], answers: Int[np.ndarray, "image answer"] | Int[np.ndarray, " image"]
) -> pd.DataFrame:
    """One row an image: top1 (a place among the logits), correct, correct_top5, p_true.

    Args:
        logits: class scores; of equal ones the first counts as larger.
        answers: the places among the logits that are right; several a row, filled up with -1, where more than one is.
            p_true is the sum of their probabilities.
    """
    right = answers[:, None] if answers.ndim == 1 else answers
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :5].numpy()
    hits = (ranked[:, :, None] == right[:, None, :]).any(-1)
    probability = logits.double().softmax(1).numpy()
    of_answers = np.take_along_axis(probability, np.maximum(right, 0), axis=1) * (right >= 0)
    columns = {"top1": ranked[:, 0], "correct": hits[:, 0], "correct_top5": hits.any(1)}
    return pd.DataFrame({**columns, "p_true": of_answers.sum(1)})


def accuracy(table: pd.DataFrame) -> dict[str, float | int]:
    """Top-1 and top-5 accuracy with Wilson's 95 % interval of the top-1, over the rows that have an answer."""
    known = table[table["correct"].notna()].astype({"correct": bool})
    n, right = len(known), int(known["correct"].sum())
    low, high = wilson(right, n)
    top5 = float(known["correct_top5"].astype(float).mean())
    return {"n": n, "top1": right / n if n else np.nan, "top1_ci_low": low, "top1_ci_high": high, "top5": top5}


def write_answers(
    run: Run,
    folder: str,
    inputs: str,
    backbone: Backbone,
    view: Callable[[int], View],
    right: Int[np.ndarray, "view answer"] | None,
    n: int,
    batch_size: int,
    workers: int,
    skip_bad: bool = False,
) -> list[str]:
    """What a model says of n views, as shards in `folder`; a whole shard of the same inputs is kept.

    A shard holds of the views that are there `place` (which they are) and `border_px`; and top1, correct, correct_top5
    and p_true, or `representation` [there, dim] of a model without a head. Its header says why views are missing.
    Several processes share out the batches of each shard; the main one writes.

    Args:
        right: the places among the model's logits that are right for each view, filled up with -1; None without a head.
        skip_bad: whether a shard in which views are missing may be kept.
    """
    starts = {f"{folder}/{number:05d}.safetensors": start for number, start in enumerate(range(0, n, SHARD))}
    missing = processes.from_main(
        lambda: {name: start for name, start in starts.items() if not _is_done(run, name, inputs, skip_bad)}
    )
    parts = [
        (name, range(first, min(first + batch_size, start + SHARD, n)))
        for name, start in missing.items()
        for first in range(start, min(start + SHARD, n), batch_size)
    ]
    parts = parts[processes.rank() :: processes.count()] if processes.count() > 1 else parts
    batches = batches_of(view, [places for _, places in parts], backbone.image_size, workers)
    kept = sum(-(-min(SHARD, n - start) // batch_size) for name, start in starts.items() if name not in missing)
    shown = track(batches, f"predictions {folder.split('/')[-1]}", kept + len(parts), kept)
    for shard in missing:
        own = islice(shown, sum(name == shard for name, _ in parts))
        found = list(chain.from_iterable(processes.together(partial(_answers, backbone, own, right))))
        found.sort(key=itemgetter(0))
        tensors = {key: torch.cat([answers[key] for _, answers, _ in found]) for key in found[0][1]}
        reasons = dict(chain.from_iterable(lost.items() for _, _, lost in found))
        processes.on_main(partial(run.write_tensors, shard, tensors, inputs=inputs, reasons=reasons))
    processes.on_main(partial(_sweep, run, folder, starts))
    return list(starts)


def _sweep(run: Run, folder: str, names: Iterable[str]) -> None:
    for leftover in {p.name for p in run.file(folder).glob("*.safetensors")} - {Path(name).name for name in names}:
        run.file(f"{folder}/{leftover}").unlink()


def _is_done(run: Run, name: str, inputs: str, skip_bad: bool) -> bool:
    return run.is_whole(name, inputs) and (skip_bad or not run.about(name)["reasons"])


def _answers(
    backbone: Backbone, batches: Iterable[Batch], right: Int[np.ndarray, "view answer"] | None
) -> list[tuple[int, dict[str, Tensor], dict[str, str]]]:
    """Of each batch the place of its first view, and what `_answer` says of it."""
    return [(int(batch.places[0]), *_answer(backbone, batch, right)) for batch in batches]


def _answer(
    backbone: Backbone, batch: Batch, right: Int[np.ndarray, "view answer"] | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What the model says of the views that are there, and why the others are missing, by place."""
    reasons = {str(p): v.reason for p, v in zip(batch.places, batch.views, strict=True) if v.pixels is None}
    there = np.array([i for i, view in enumerate(batch.views) if view.pixels is not None], dtype=int)
    n = len(there)
    with torch.no_grad():  # a batch of nothing but bad files: a black image keeps the columns
        output = backbone(batch.images if n else batch.images.new_zeros(1, *batch.images.shape[1:]), attention="none")
    shown = output.representation if right is None else output.logits
    if shown is None:
        raise ValueError("a model gives logits, or without a head what one would sit on")
    shown = shown[:n].float().cpu()
    finite = torch.isfinite(shown).all(1)
    reasons |= {str(place): NOT_A_NUMBER for place in batch.places[there[~finite.numpy()]]}
    there, shown = there[finite.numpy()], shown[finite]
    places = batch.places[there]
    known = {
        "place": torch.from_numpy(places),
        "border_px": torch.tensor([batch.views[i].border_px for i in there], dtype=torch.uint8),
    }
    if right is None:
        return known | {"representation": shown}, reasons
    said = predictions(shown, right[places])
    return known | {str(c): torch.from_numpy(said[c].to_numpy(copy=True)) for c in said}, reasons


def read_answers(run: Run, names: Sequence[str]) -> tuple[dict[str, Tensor], dict[int, str]]:
    """All shards as one, and why views are missing."""
    shards, about = [run.tensors(name) for name in names], [run.about(name) for name in names]
    reasons = {int(place): why for header in about for place, why in header["reasons"].items()}
    return {key: torch.cat([shard[key] for shard in shards]) for key in shards[0]}, reasons

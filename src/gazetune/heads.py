"""The stage that scores every head of every layer, and which of its tables are of the models as they are now."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from gazetune import processes
from gazetune.backbones import weights_hash
from gazetune.data.decoded import batch_of
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.job import VERSION, Job, data_stages, made_by, on_device, weights_of
from gazetune.metrics.heads import head_scores, head_table
from gazetune.progress import say
from gazetune.provenance import fingerprint


def attend_heads(job: Job, name: str) -> None:
    """Head and layer view: `scores/NAME-heads-KEY.csv` of every model with attention heads, on the test images.

    Nothing of a map but its scores is kept. Models without heads are passed over.
    """
    if not job.experiment.heads:
        return
    for entry in _attending(job):
        weights = weights_of(job, entry)

        def work(weights: str = weights, entry: Entry = entry) -> list[str]:
            return _write_scores(job, name, entry, weights)

        job.run.stage(f"heads/{name}/{entry.key}", _inputs(job, name, entry, weights), work, shared=True)


def head_tables(job: Job, datasets: Iterable[str]) -> dict[str, str]:
    """The files of the stage above on these data sets, with their sha256; those of older models are left out."""
    if not job.experiment.heads:
        return {}
    entries = [(name, entry) for name in datasets for entry in _attending(job)]
    stages = [f"heads/{name}/{entry.key}" for name, entry in entries if _is_current(job, name, entry)]
    return {file: sha256 for stage in stages for file, sha256 in made_by(job, stage).items()}


def _attending(job: Job) -> list[Entry]:
    # ready-made maps are no model that could be asked
    return [entry for entry in job.experiment.entries() if entry.model.maps is None]


def _inputs(job: Job, name: str, entry: Entry, weights: str) -> dict[str, Any]:
    data = job.prepared(name)
    return {
        "weights": weights_hash(weights),
        "image_size": job.experiment.image_size,
        "images": fingerprint(data.table["image"].iloc[data.rows("test")].tolist()),
        "data": made_by(job, *data_stages(job, name, entry.model.start)),
        **VERSION,
    }


def _write_scores(job: Job, name: str, entry: Entry, weights: str) -> list[str]:
    backbone, data = on_device(job, weights), job.prepared(name)
    if not backbone.heads:
        say(f"'{entry.key}' has no attention heads and is left out there")
        return []
    pixels, rows = data.pixels(backbone.image_size), data.rows("test")
    points = data.points.take(rows)
    scores = head_scores(
        backbone,
        lambda start, stop: batch_of(pixels, rows[start:stop], job.device),
        points,
        job.experiment.batch_size,
        f"heads {entry.key}",
    )
    seen = scores[points.offsets[1:] > points.offsets[:-1], :, :, 1]  # NSS of images with fixations
    missing = int((seen != seen).sum())
    if missing:
        say(f"warning: {missing} of {seen.size} maps of the heads of '{entry.key}' are constant and have no score")
    table = head_table(scores)
    for place, (column, value) in enumerate((("dataset", name), ("model", entry.name), ("seed", entry.seed))):
        table.insert(place, column, value)
    table = table.astype({"seed": "Int64"})
    return [processes.from_main(partial(job.run.write_table, f"scores/{name}-heads-{entry.key}", table))]


def _is_current(job: Job, name: str, entry: Entry) -> bool:
    """Whether these heads were scored, with the weights and images that the attention maps are of."""
    stage, done = f"heads/{name}/{entry.key}", job.run.stages()
    if stage not in done:
        return False
    try:
        job.run.verify(stage)
    except InputError as reason:
        say(f"warning: {reason}")
        return False
    ours, maps = done[stage]["inputs"], done[f"attention/{name}/{entry.key}"]["inputs"]
    return all(maps[key] == ours[key] for key in ("weights", "image_size", "images", "data"))

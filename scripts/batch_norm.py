"""What batch-norm statistics that move do to a CNN while it is tuned (docs/cnn.md).

    python scripts/batch_norm.py RUN --on labels:NAME=PATH [--classes FILE] [--steps 60] [--every 20] --output TABLE.csv

RUN: a run in which a CNN was tuned; its data, settings and frozen teacher are used again, its own weights are not.
Its first model that learns towards the true pairs is tuned anew, once with frozen and once with moving statistics. At
each evaluation the terms of the validation loss and the share of right answers on the labelled images (in the model's
own order of classes) are noted, also where no step is better than the start. --allow-code if the model is code.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gazetune.attention import METHODS
from gazetune.code import allow
from gazetune.commands.settings import of_run
from gazetune.commands.stages import make_job
from gazetune.data.labelled import squashed_crop
from gazetune.explained import classes_of
from gazetune.job import on_device
from gazetune.loading import labelled_sets, load_labelled
from gazetune.run import Run
from gazetune.training.accuracy import asked, logits_of, right
from gazetune.training.loop import tune
from gazetune.training.loss import Part, teacher_features
from gazetune.training.state import Keeper
from gazetune.training.targets import TARGETS


def main() -> None:
    """Tune, measure, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--on", required=True, metavar="KIND:NAME=PATH")
    parser.add_argument("--classes")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    allow(given.allow_code)
    run = Run(given.run)
    job = make_job(of_run(run), run, "auto", given.allow_code)
    data = job.prepared(job.main)
    options = {"classes": given.classes} if given.classes else {}
    ((name, settings),) = labelled_sets([given.on], **options).items()
    labelled = load_labelled(name, settings)
    entry = next(e for e in job.experiment.entries() if e.seed is not None and e.model.targets == "true_pairs")
    weights, lines = entry.model.start, []
    photos = np.stack([squashed_crop(labelled.pixels(i)[0]) for i in range(len(labelled))]).transpose(0, 3, 1, 2)
    for statistics in ("frozen", "moving"):
        own = {"max_steps": given.steps, "evaluate_every": given.every, "patience": given.steps}
        settings = job.experiment.training_of(entry.model).model_copy(
            update={**own, "batch_norm_statistics": statistics}
        )
        student, pixels = on_device(job, weights), data.pixels(job.sizes[weights])
        seen, parts = data.points.take(data.rows("train")), []
        for split in ("train", "validation"):
            rows = data.rows(split)
            features = teacher_features(student, pixels, rows, settings, job.device)
            targets = TARGETS["true_pairs"](data.points.take(rows), seen, 42)
            parts.append(Part(pixels, rows, targets, features, classes_of(job, entry, data, rows, student)))

        def accuracy(stop: object, student=student) -> float:  # noqa: ANN001
            rows = np.arange(len(labelled))
            return float(right(asked(student, photos, rows, logits_of, 16), labelled.answers).mean())

        keep = Keeper(
            save_state=lambda state, tensors: None,
            load_state=lambda: None,
            save_best=lambda: None,
            log=lambda line, of=statistics: lines.append({"statistics": of, **line}),
        )
        method = METHODS[job.experiment.method_of(entry.model)]
        tune(student, parts[0], parts[1], method, settings, entry.seed or 0, keep, None, accuracy)
    table = pd.DataFrame([line for line in lines if line["split"] == "validation"]).drop(columns="split")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.output, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    torch.backends.cudnn.allow_tf32 = False
    main()

"""Work that processes share, called by a test in its own process and, as a script under torchrun, by two."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from gazetune import Run, processes
from gazetune.attention import METHODS, extract
from gazetune.backbones import load_backbone
from gazetune.data.synthetic import World, load_synthetic
from gazetune.faithfulness import Faithfulness, faithfulness
from gazetune.maps import grid_points
from gazetune.metrics.heads import head_scores
from gazetune.parity import predict
from gazetune.parity.views import View
from gazetune.training.accuracy import asked, logits_of
from gazetune.training.loop import tune
from gazetune.training.preservation import Preserve
from test_training import Memory, fast, parts_of
from worlds import small_vit

CPU = torch.device("cpu")
STEPS, BREAK = 50, 40
# 7, 7 and 1 image a batch: in the last, one of two processes has none
BEYOND = {"n": 15, "batch_size": 7, "lambda_logits": 0.5, "lambda_tokens": 0.5, "lambda_l2": 10.0}


class Midway(Memory):
    """Remembers, besides, the state at which another training may go on."""

    def save_state(self, state, tensors):
        super().save_state(state, tensors)
        if state.step == BREAK:
            self.middle = self.state


def trained(steps, state=None, n=21, batch_size=8, **beyond):
    """A training of the tiny model; the last batch of an epoch, of 5 images, does not divide.

    A batch of a single image would make rounding alone, such as from another order of a batch's images, grow to 5e-5.
    """
    student, memory = load_backbone("tiny"), Midway(state)
    settings = fast(max_steps=steps, lr=1e-5, batch_size=batch_size, evaluate_every=20, patience=9, **beyond)
    parts = parts_of(student, n=n, settings=settings)
    start = {name: value.detach().clone() for name, value in student.learnable().items()}
    preserve = Preserve(load_backbone("tiny"), start) if beyond else None
    tune(student, *parts, METHODS["rollout"], settings, 42, memory.keeper, preserve)
    return memory


def scored(folder):
    """Maps, predictions, heads, deletion and insertion of 11 images in batches of 3 and shards of 5, into a run."""
    run, backbone, rows, world = Run(folder), small_vit(), np.arange(11), load_synthetic(World(images=12, seed=5))
    pixels = np.stack([world.pixels(i, backbone.image_size).transpose(2, 0, 1) for i in range(12)])
    extract.SHARD = predict.SHARD = 5

    def images(start, stop):
        return torch.from_numpy(pixels[start:stop])

    def view(place):
        return View(None, reason="bad") if place == 4 else View(pixels[place].transpose(1, 2, 0), place)

    for method in ("rollout", "gradient_rollout"):
        extract.write_maps(run, f"maps/{method}", "x", backbone, pixels, rows, METHODS[method], 3)
    right = np.arange(11)[:, None] % 3
    predict.write_answers(run, "answers", "x", backbone, view, right, 11, 3, 1, skip_bad=True)
    heads = head_scores(backbone, images, grid_points(world).take(rows), 3)
    grids = extract.read_maps(run, "maps/rollout")["grid"]
    areas = faithfulness(backbone, images, grids, Faithfulness(steps=3), 4)[["deletion", "insertion"]].to_numpy()
    said = asked(backbone, pixels, rows, logits_of, 3)
    processes.on_main(lambda: run.write_tensors("numbers.safetensors", {
        "heads": torch.tensor(heads), "areas": torch.tensor(areas), "said": said,
    }))  # fmt: skip
    # a second time nothing is done again
    before = run.file("answers/00001.safetensors").stat().st_mtime_ns
    predict.write_answers(run, "answers", "x", backbone, view, right, 11, 3, 1, skip_bad=True)
    assert run.file("answers/00001.safetensors").stat().st_mtime_ns == before


def failed(work):
    try:
        work()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def refuse(item):
    if item == 3:
        raise processes.InputError("three")
    if item == 4:
        raise ZeroDivisionError("four")
    return item


def agreed():
    """What every process knows of what one of them found, or failed at."""
    return {
        "dealt": processes.dealt(lambda item: [item, processes.rank(), processes.count()], range(5)),
        "few": processes.dealt(lambda item: item, ["only"]),
        "none": processes.dealt(lambda item: item, []),
        "from_main": processes.from_main(processes.rank),
        "on_main": processes.on_main(lambda: "done"),
        "mean": processes.mean({"rank": float(processes.rank())}),
        "fails": failed(lambda: processes.dealt(refuse, [0, 1, 2, 3])),
        "main_fails": failed(lambda: processes.on_main(lambda: refuse(3))),
        "by_fault": failed(lambda: processes.dealt(refuse, [0, 4])),
        "first": processes.is_first_to_say(),
        "second": processes.is_first_to_say(),
    }


if __name__ == "__main__":
    where = Path(sys.argv[1])
    processes.join(CPU)
    (where / f"agreed-{processes.rank()}.json").write_text(json.dumps(agreed()))
    given = torch.load(where / "state.pt", weights_only=False)
    memory, goes_on = trained(STEPS), trained(STEPS, given)
    beyond = trained(3, **BEYOND)
    scored(where / "two")
    if processes.is_main():
        curves = {"log": memory.log, "goes_on": goes_on.log, "beyond": beyond.log}
        torch.save({**curves, "middle": memory.middle}, where / "two.pt")
    processes.leave()

"""An experiment at work: what every stage of the pipeline is handed, and what stages need to know of one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch

from gazetune.attention import require_fit
from gazetune.backbones import Backbone, black, checkpoint_of, load_backbone
from gazetune.errors import InputError
from gazetune.experiment import Entry, Experiment
from gazetune.metrics import Metric
from gazetune.prepared import Prepared, load_prepared
from gazetune.run import Run
from gazetune.training.batch_norm import moving_norms

VERSION = {"gazetune": version("gazetune")}  # what a newer version may do differently is done again


@dataclass(frozen=True)
class Job:
    """An experiment at work: its settings, its run directory and what was chosen on the command line.

    sizes: the input size (height, width) of each weights. code: sha256 of a user's own code that takes part.
    """

    experiment: Experiment
    run: Run
    device: torch.device
    metrics: Mapping[str, Metric]
    code: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]

    @property
    def models(self) -> dict[str, tuple[str, int | None]]:
        """Every model of the run: key -> (name, seed)."""
        return {entry.key: (entry.name, entry.seed) for entry in self.experiment.entries()}

    @property
    def main(self) -> str:
        """The data set that the experiment trains and tests on."""
        return self.experiment.study.kind

    def prepared(self, name: str) -> Prepared:
        """A data set as it was made ready."""
        return load_prepared(self.run, name, sorted(set(self.sizes.values())))


def input_sizes(experiment: Experiment) -> dict[str, tuple[int, int]]:
    """The input size of each of the models' weights, each of which is tried on a black image.

    Raises InputError for weights that are missing and, where there is a study to attend to, for models whose attention
    cannot be read, an attention method that does not fit the model, or statistics that shall move and are not there.
    """
    sizes = {}
    for weights in dict.fromkeys(e.model.start for e in experiment.entries() if e.model.maps is None):
        backbone = load_backbone(weights, experiment.image_size)
        black(backbone)
        looking = experiment.models.values() if experiment.data is not None else ()
        for method in {experiment.method_of(m) for m in looking if m.weights == weights}:
            require_fit(method, backbone, weights)
        for model in (m for m in experiment.models.values() if m.train and m.weights == weights):
            moving_norms(backbone, experiment.training_of(model), weights)
        sizes[weights] = backbone.image_size
    return sizes


def is_prepared(job: Job, name: str) -> bool:
    """Whether fixations and decoded photos of a data set lie whole in the run, as this version writes them."""
    try:
        for stage in data_stages(job, name):
            job.run.verify(stage)
            if job.run.stages()[stage]["inputs"].get("gazetune") != VERSION["gazetune"]:
                return False
    except InputError:
        return False
    return True


def data_stages(job: Job, name: str, *weights: str) -> list[str]:
    """The stages that made a data set ready, for the input sizes of these weights, or of all."""
    shapes = sorted({job.sizes[w] for w in weights or job.sizes})
    return [f"fixations/{name}", *(f"photos/{name}/{height}x{width}" for height, width in shapes)]


def weights_of(job: Job, entry: Entry) -> str:
    """The weights that a model is evaluated with. Raises InputError naming a damaged checkpoint."""
    if entry.seed is None:
        return entry.model.start
    job.run.verify(f"train/{entry.key}")
    return checkpoint_of(entry.model.start, job.run.checkpoint(entry.key))


def on_device(job: Job, weights: str) -> Backbone:
    """A model on the job's device."""
    backbone = load_backbone(weights, job.experiment.image_size)
    backbone.model.to(job.device)
    return backbone


def made_by(job: Job, *stages: str) -> dict[str, str]:
    """The files that these stages wrote, with their sha256; a name that ends in `/` stands for all that begin so."""
    done = job.run.stages()
    meant = [s for s in sorted(done) if s in stages or any(n.endswith("/") and s.startswith(n) for n in stages)]
    return {file: sha256 for stage in meant for file, sha256 in done[stage]["outputs"].items()}


def pick_device(wanted: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then Apple's MPS, then the CPU. Raises InputError if it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, also in convolutions
    if not there.get(wanted.partition(":")[0], False):
        raise InputError(
            f"There is no device '{wanted}' here; there is {', '.join(n for n, is_there in there.items() if is_there)}."
        )
    return torch.device(wanted)

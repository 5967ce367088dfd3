"""Which models of a run can be asked about a new photo, and why the others cannot."""

from dataclasses import dataclass

from gazetune.attention import METHODS, fitting
from gazetune.backbones import Backbone, black
from gazetune.errors import InputError
from gazetune.job import Job, on_device, weights_of


@dataclass(frozen=True)
class Asked:
    """A model that stands ready: its key and label, and the attention method it was tuned or scored by.

    layers: how many layers have attention heads; 0 for a model without any.
    """

    key: str
    label: str
    backbone: Backbone
    method: str
    layers: int

    @property
    def fitting(self) -> list[str]:
        """The attention methods that fit it."""
        return fitting(self.backbone)


def load_models(job: Job) -> tuple[list[Asked], dict[str, str]]:
    """Every model of a run that can answer, with the weights it was scored with; and label -> why one cannot.

    Raises InputError if none can.
    """
    asked, silent = [], {}
    labels = job.experiment.labels()
    for entry in job.experiment.entries():
        label = labels[entry.key]
        if entry.model.maps is not None:
            silent[label] = "ready-made maps: there is no model that could look at another photo"
            continue
        try:
            backbone = on_device(job, weights_of(job, entry))
            output = black(backbone)
        except InputError as reason:
            silent[label] = str(reason)
            continue
        method = job.experiment.method_of(entry.model)
        if METHODS[method].needs not in backbone.gives:  # a run that only classified
            method = next(iter(fitting(backbone)), method)
        asked.append(Asked(entry.key, label, backbone, method, len(output.attention) if backbone.heads else 0))
    if not asked:
        why = "; ".join(f"{label}: {reason}" for label, reason in silent.items())
        raise InputError(f"'{job.run.path}' has no model that could be asked about a photo. {why}")
    return asked, silent

"""A run as it is compared with the paper: which of its models stand for the paper's, and which half it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gazetune.run import Run

START = {"vit": "google/vit-base-patch16-224", "cnn": "microsoft/resnet-50"}
MAPS = {"vit": "rollout", "cnn": "gradcam"}
LETTERS = {"A": "reference", "B": "tuned", "C": "control"}


@dataclass(frozen=True)
class Subject:
    """A run as it is compared: its settings as plain values, and each model's role by key (see Experiment)."""

    run: Run
    settings: Mapping[str, Any]
    roles: Mapping[str, str]

    @property
    def start(self) -> str:
        """The weights of the reference model."""
        model = self.model(self.settings["reference"])
        return str(model.get("weights") or model.get("maps"))

    def model(self, key: str) -> Mapping[str, Any]:
        """The row of the table of models that a key belongs to."""
        models = self.settings["models"]
        row: Mapping[str, Any] = models[key if key in models else key.rpartition("-s")[0]]
        return row

    def method(self, key: str) -> str:
        """The attention method of a model: its own, or the experiment's."""
        return str(self.model(key).get("attention") or self.settings["attention"])

    @property
    def kind(self) -> str:
        """The reader of the run's own data set; empty where its models only classify."""
        return str((self.settings.get("data") or {}).get("kind", ""))

    @property
    def arm(self) -> str:
        """Which half of the paper the run belongs to, by its reference: that of Grad-CAM, or that of transformers."""
        return "cnn" if self.method(self.settings["reference"]) == MAPS["cnn"] else "vit"

    def key(self, letter: str) -> str | None:
        """The model that stands for A, B or C: the first with its part that starts where A does.

        C must be tuned to shuffled maps.
        """
        for key, role in self.roles.items():
            model = self.model(key)
            fits = role == LETTERS[letter] and (letter != "C" or model["targets"] == "shuffled")
            if fits and str(model.get("weights") or model.get("maps")) == self.start:
                return key
        return None

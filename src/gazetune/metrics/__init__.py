"""The metrics of alignment, each with what others need to know to use and to show it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from gazetune.metrics.saliency import (
    auc_judd,
    cc,
    entropy_bits,
    information_gain,
    kl,
    kl_reverse,
    nss,
    partial_cc,
    sauc,
    sim,
)

Need = Literal["attention", "density", "fixations", "elsewhere", "prior"]


@dataclass(frozen=True)
class Metric:
    """A function of maps that gives one value an image.

    function: takes the maps named in `needs`, in that order, each [image, height, width], and returns [image].
    unit: of the value, for axes and tables. better: which way is better (neither: it describes).
    needs: `attention` (0..1), human `density` (0..1), `fixations` (per pixel), `elsewhere` (fixations per pixel of
    other images), `prior` (mean map of other images, sum 1); the last two as one map for all or one for each.
    """

    function: Callable[..., Float[Tensor, " image"]]
    unit: str
    better: Literal["higher", "lower", "neither"]
    needs: tuple[Need, ...]
    label: str = ""

    @property
    def heading(self) -> str:
        """The label with an arrow towards better, for tables and figures."""
        return self.label + {"higher": " ↑", "lower": " ↓", "neither": ""}[self.better]


METRICS: dict[str, Metric] = {
    "cc": Metric(cc, "r", "higher", ("attention", "density"), "CC"),
    "nss": Metric(nss, "SD", "higher", ("attention", "fixations"), "NSS"),
    "auc_judd": Metric(auc_judd, "area", "higher", ("attention", "fixations"), "AUC-Judd"),
    "kl": Metric(kl, "nats", "lower", ("attention", "density"), "KL"),
    "sim": Metric(sim, "overlap", "higher", ("attention", "density"), "SIM"),
    "entropy_bits": Metric(entropy_bits, "bits", "neither", ("attention",), "Entropy"),
    "sauc": Metric(sauc, "area", "higher", ("attention", "fixations", "elsewhere"), "sAUC"),
    "kl_reverse": Metric(kl_reverse, "nats", "lower", ("attention", "density"), "KL reversed"),
    "ig_bits": Metric(information_gain, "bits", "higher", ("attention", "fixations", "prior"), "IG"),
    "partial_cc": Metric(partial_cc, "r", "higher", ("attention", "density", "prior"), "Partial CC"),
}

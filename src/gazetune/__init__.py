"""gazetune: teach a vision transformer to look where people look, and prove what that changed and what it cost."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazetune.attention.extract import attention_maps
    from gazetune.attention.rollout import rollout
    from gazetune.backbones import load_backbone
    from gazetune.data.osie import load_osie
    from gazetune.data.salicon import load_salicon
    from gazetune.data.synthetic import load_synthetic
    from gazetune.data.table import load_table
    from gazetune.maps import density
    from gazetune.metrics import Metric
    from gazetune.metrics.saliency import auc_judd, cc, kl, nss, sim
    from gazetune.metrics.score import score
    from gazetune.run import Run
    from gazetune.statistics.bayes import bf01_jzs, bf01_unit
    from gazetune.statistics.paired import paired_test

__all__ = [
    "Metric", "Run", "attention_maps", "auc_judd", "bf01_jzs", "bf01_unit", "cc", "density", "kl", "load_backbone",
    "load_osie", "load_salicon", "load_synthetic", "load_table", "nss", "paired_test", "rollout", "score", "sim",
]  # fmt: skip

# name -> module; imported on first use, so that `gazetune --help` does not wait for torch
_HOMES = {
    "Metric": "metrics",
    "Run": "run",
    "attention_maps": "attention.extract",
    "bf01_jzs": "statistics.bayes",
    "bf01_unit": "statistics.bayes",
    "density": "maps",
    "load_backbone": "backbones",
    "load_osie": "data.osie",
    "load_salicon": "data.salicon",
    "load_synthetic": "data.synthetic",
    "load_table": "data.table",
    "paired_test": "statistics.paired",
    "rollout": "attention.rollout",
    "score": "metrics.score",
    **dict.fromkeys(("auc_judd", "cc", "kl", "nss", "sim"), "metrics.saliency"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gazetune' has no attribute '{name}'")
    return getattr(importlib.import_module(f"gazetune.{_HOMES[name]}"), name)

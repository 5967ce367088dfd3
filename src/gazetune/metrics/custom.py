"""A metric of one's own, named in the YAML as `file.py:name` or `module:name`; it runs code, so it must be allowed."""

import dataclasses
from collections.abc import Sequence

from gazetune.code import Code, run_code
from gazetune.errors import InputError
from gazetune.metrics import METRICS, Metric


def chosen_metrics(names: Sequence[str], allow_code: bool) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics by name, and the sha256 of each file of a user's own that was run for them.

    Raises:
        InputError: code is named but not allowed, the file or name does not exist, or it is no `gazetune.Metric`.
    """
    metrics: dict[str, Metric] = {}
    hashes: dict[str, str] = {}
    for name in names:
        if ":" not in name:
            metrics[name] = METRICS[name]
            continue
        place, _, attribute = name.rpartition(":")
        metric, hashes[name] = run_code(Code(place, attribute), "metric", allow_code)
        if not isinstance(metric, Metric):
            raise InputError(f"'{place}' has no gazetune.Metric called '{attribute}' (see docs/extending.md).")
        metrics[attribute] = metric if metric.label else dataclasses.replace(metric, label=attribute)
    return metrics, hashes

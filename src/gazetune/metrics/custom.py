"""A metric of one's own, named in the YAML as `file.py:name` or `module:name`; it runs code, so it must be allowed."""

import dataclasses
import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

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
        if not allow_code:
            raise InputError(f"The metric '{name}' is code of your own. If you trust it, run again with --allow-code.")
        place, _, attribute = name.rpartition(":")
        found, path = _imported(place)
        metric = getattr(found, attribute, None)
        if not isinstance(metric, Metric):
            raise InputError(f"'{place}' has no gazetune.Metric called '{attribute}' (see docs/extending.md).")
        metrics[attribute] = metric if metric.label else dataclasses.replace(metric, label=attribute)
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path else ""
    return metrics, hashes


def _imported(place: str) -> tuple[object, Path | None]:
    try:
        if place.endswith(".py"):
            path = Path(place).expanduser()
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise InputError(f"The file '{place}' does not exist.")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module, path
        module = importlib.import_module(place)
        return module, Path(module.__file__) if module.__file__ else None
    except InputError:
        raise
    except Exception as reason:  # whatever a user's own code raises
        raise InputError(f"'{place}' could not be loaded: {type(reason).__name__}: {reason}") from reason

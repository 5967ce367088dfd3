"""What the JSON files beside foreign weights say, checked before anything is built from it."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import transformers

from gazetune.documents import short
from gazetune.errors import InputError

# beyond any model that can be read here: a configuration could else ask for terabytes, or for a year of layers
LARGEST, MOST_LAYERS, MOST_SIDE_PX = 1_000_000, 512, 8192
Levels = tuple[float, ...]


def refuse_giants(settings: Mapping[Any, Any], place: str = "") -> None:
    """Raises InputError for a number in a model's configuration that no model has."""
    for key, value in settings.items():
        name = f"{place}{short(key)}"
        if isinstance(value, Mapping):
            refuse_giants(value, f"{name}.")
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(one, int | float):
                continue
            most = MOST_LAYERS if "layers" in name or "depth" in name else LARGEST
            most = MOST_SIDE_PX if "image_size" in name or "img_size" in name else most
            if not abs(one) <= most and name not in FREE:
                raise InputError(f"The model's configuration says {name} {short(one)}; at most {most:,} is read.")


FREE = ("layer_norm_eps",)


def processor_of(source: str) -> dict[str, Any]:
    """What preprocessor_config.json says, where there is one. Raises InputError for a damaged one."""
    try:
        found = transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict(source)[0]
    except OSError as reason:
        if "valid JSON" in str(reason):
            raise InputError(f"The preprocessor_config.json of '{source}' is damaged.") from None
        return {}
    except Exception as reason:
        raise InputError(f"The preprocessor_config.json of '{source}' is damaged ({short(reason)}).") from None
    if not isinstance(found, dict):
        raise InputError(f"The preprocessor_config.json of '{source}' is damaged (it holds {short(found)}).")
    return found


def levels_of(processor: Mapping[str, Any], usual: tuple[Levels, Levels], source: str) -> tuple[Levels, Levels]:
    """Mean and SD of the three channels, or the usual ones. Raises InputError for what is neither."""
    said = processor.get("image_mean", usual[0]), processor.get("image_std", usual[1])
    for levels in said:
        numbers = isinstance(levels, list | tuple) and all(type(v) in (int, float) and isfinite(v) for v in levels)
        if not numbers or len(levels) != 3:
            raise InputError(f"'{source}': image_mean and image_std need three numbers each, got {short(levels)}.")
    if min(said[1]) <= 0:
        raise InputError(f"'{source}': image_std must be above 0, got {short(said[1])}.")
    return tuple(said[0]), tuple(said[1])


def sides_of(size: Any) -> tuple[int, int]:
    """(height, width) of an input, from a side or both. Raises InputError for what is no size."""
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= MOST_SIDE_PX for side in sides):
        raise InputError(f"The input size of a model is a side or (height, width) in pixels; got {short(size)}.")
    return sides[0], sides[1]

"""Which images a contrast is measured on, and why the others are not, step by step."""

import difflib

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from gazetune.biases.settings import REST, Contrast, Region
from gazetune.errors import InputError
from gazetune.maps import MAP_SIZE
from gazetune.progress import say


def members(objects: pd.DataFrame, region: Region) -> Bool[np.ndarray, " object"]:
    """Which objects belong to a region; one of which it is not known whether it is animate belongs to neither kind."""
    area, inside = objects["area_px2"].to_numpy(dtype=np.float64), np.ones(len(objects), dtype=bool)
    if region.categories is not None:
        inside &= objects["category"].isin(region.categories).to_numpy(dtype=bool)
    if region.animate is not None:
        inside &= (objects["animate"] == region.animate).fillna(False).to_numpy(dtype=bool)
    for bound, holds in (
        (region.area_below_px2, np.less),
        (region.area_above_px2, np.greater),
        (region.area_from_px2, np.greater_equal),
        (region.area_to_px2, np.less_equal),
    ):
        if bound is not None:
            inside &= holds(area, bound)
    return inside


def left_out(
    objects: pd.DataFrame, images: int, contrast: Contrast, size: int = MAP_SIZE
) -> Shaped[np.ndarray, " image"]:
    """Why an image is not part of a contrast: the first step of `steps` that it fails; None where it is part.

    objects: one line an object: position (of its image), category, animate, area_px2, cells (of the size x size grid
    that show it).
    """
    reason = np.full(images, None, dtype=object)
    for step, fails in steps(objects, images, contrast, size).items():
        reason[fails & pd.isna(reason)] = step
    return reason


def steps(
    objects: pd.DataFrame, images: int, contrast: Contrast, size: int = MAP_SIZE
) -> dict[str, Bool[np.ndarray, " image"]]:
    """The steps of exclusion in their order, each with the images that fail it, whatever the steps before it say."""
    position, cells = objects["position"].to_numpy(dtype=np.int64), objects["cells"].to_numpy(dtype=np.int64)
    regions = {name: contrast.regions[name] for name in contrast.names}
    inside = {name: members(objects, r) for name, r in regions.items() if isinstance(r, Region) and not r.half}
    found = general_steps(objects, images, contrast)
    for name, which in inside.items():
        found[f"no object: {name}"] = np.bincount(position[which], minlength=images) == 0
    for name, which in inside.items():
        found[f"no visible pixel: {name}"] = np.bincount(position[which & (cells > 0)], minlength=images) == 0
    if contrast.b == REST and inside:
        (which,) = inside.values()
        found["no visible pixel: rest"] = np.bincount(position, weights=cells * which, minlength=images) == size**2
    return found


def general_steps(objects: pd.DataFrame, images: int, contrast: Contrast) -> dict[str, Bool[np.ndarray, " image"]]:
    """The first of the steps: those that do not ask for the regions of the contrast."""
    position, found = objects["position"].to_numpy(dtype=np.int64), {}
    if contrast.drop_images_with:
        dropped = objects["category"].isin(contrast.drop_images_with).to_numpy(dtype=bool)
        found[f"shows {_listed(contrast.drop_images_with)}"] = np.bincount(position[dropped], minlength=images) > 0
    if contrast.least_objects:
        fewer = np.bincount(position, minlength=images) < contrast.least_objects
        found[f"fewer than {contrast.least_objects} objects"] = fewer
    return found


def exclusions(objects: pd.DataFrame, images: int, contrast: Contrast, size: int = MAP_SIZE) -> pd.DataFrame:
    """The flow of images and of objects through a contrast: unit, step, reason, left_out, n (what is left).

    Step 0 is what there was. Objects are those of the images that are left; they are left out where they belong to
    none of the regions, or where nothing is seen of them on the grid: wholly covered, or smaller than a cell.
    """
    reason = left_out(objects, images, contrast, size)
    given = {step: int((reason == step).sum()) for step in steps(objects, images, contrast, size)}
    kept = objects[pd.isna(reason)[objects["position"].to_numpy(dtype=np.int64)]]
    chosen = [r for r in contrast.regions.values() if isinstance(r, Region) and not r.half]
    inside = np.logical_or.reduce([members(kept, r) for r in chosen]) if chosen else np.zeros(len(kept), dtype=bool)
    hidden = inside & (kept["cells"] == 0).to_numpy(dtype=bool)
    lost = {"of images left out": len(objects) - len(kept)}
    lost |= {"of no region": int((~inside).sum()), "no visible pixel": int(hidden.sum())}
    return pd.concat([flow("images", images, given), flow("objects", len(objects), lost)], ignore_index=True)


def flow(unit: str, n: int, lost: dict[str, int]) -> pd.DataFrame:
    """One row a step: what was lost for which reason, and what is left; step 0 is what there was."""
    rows = [{"unit": unit, "step": 0, "reason": "", "left_out": 0, "n": n}]
    for step, (reason, number) in enumerate(lost.items(), start=1):
        n -= number
        rows.append({"unit": unit, "step": step, "reason": reason, "left_out": number, "n": n})
    return pd.DataFrame(rows)


def check(objects: pd.DataFrame, name: str, contrast: Contrast) -> None:
    """Say what a contrast of the user's own asks for that the data set does not have.

    Categories that no object has are named in a warning (a small data set may lack some of a list).

    Raises:
        InputError: no object of the whole data set is in a region, or an object is in both.
    """
    known = sorted(set(objects["category"]))
    regions = {n: r for n, r in contrast.regions.items() if isinstance(r, Region) and not r.half}
    for label, region in regions.items():
        missing = sorted(set(region.categories or ()) - set(known))
        close = [f"'{m}' (did you mean '{c[0]}'?)" for m in missing if (c := difflib.get_close_matches(m, known, 1))]
        if not members(objects, region).any():
            there = ", ".join(close) if close else f"there are the categories {', '.join(known[:20]) or 'none'}"
            raise InputError(f"Contrast '{name}': no object of the data set is in its region '{label}'; {there}.")
        if missing:
            say(f"warning: contrast '{name}': no object is {', '.join(close or missing)}")
    pair = [regions[n] for n in contrast.names if n in regions]
    both = members(objects, pair[0]) & members(objects, pair[1]) if len(pair) == 2 else np.zeros(len(objects), bool)
    if both.any():
        one = objects[both].iloc[0]
        raise InputError(
            f"Contrast '{name}': {both.sum()} objects are in both of its regions, such as '{one['object']}' "
            f"({one['category']}) of image '{one['image']}'. The regions of a contrast must exclude each other."
        )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"

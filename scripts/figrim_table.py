"""FIGRIM as a study of your own: its fixations and named outlines as the two tables that `table` reads.

    python scripts/figrim_table.py FIGRIM_OBJECTS OUTPUT --phase enc
    python scripts/human_biases.py OUTPUT --contrasts scripts/figrim_contrasts.yaml

FIGRIM_OBJECTS holds `fixations.csv.gz` (image, scene, observer, phase, order, x, y) and `objects.jsonl.gz` (image,
object_id, name, deleted, x, y), made from targetData/allImages_release.mat of github.com/cvzoya/figrim. There are no
photos, so every row names the frame of 1000x1000. `phase` is enc (first viewing), rec or rec2 (repeats), or all. Which
of the 828 names are animate, inanimate or neither is written in `figrim_names.csv` beside this script (docs/biases.md).
Bylinskii, Isola, Bainbridge, Torralba & Oliva (2015), Vision Research 116, 165-178.
"""

import argparse
import gzip
import json
from pathlib import Path

import pandas as pd
from pycocotools import mask as rle

FRAME = 1000
NAMES = Path(__file__).with_name("figrim_names.csv")
# names of no kind are inanimate things; of a likeness, scenery or an unclear name neither is said
ANIMATE = {"animate": "true", "likeness": "", "scenery": "", "unclear": ""}


def fixations(source: Path, phase: str) -> pd.DataFrame:
    """The fixations of one phase; an observer's order starts from 0 in each phase."""
    table = pd.read_csv(source / "fixations.csv.gz")
    if phase != "all":
        table = table[table["phase"] == phase]
    return table.assign(image_width=FRAME, image_height=FRAME).drop(columns=["scene"])


def objects(source: Path) -> pd.DataFrame:
    """One row an outline that was not deleted and has a pixel in the picture; corners outside stay, and are cut off."""
    with gzip.open(source / "objects.jsonl.gz", "rt", encoding="utf-8") as lines:
        outlines = [json.loads(line) for line in lines]
    kinds = pd.read_csv(NAMES, index_col="name")["kind"].to_dict()
    rows = [
        {
            "image": one["image"],
            "object": f"{one['image']}/{one['object_id']}",
            "category": one["name"].strip(),
            "animate": ANIMATE.get(kinds.get(one["name"].strip().lower(), ""), "false"),
            "outline": ", ".join(f"{x:g} {y:g}" for x, y in zip(one["x"], one["y"], strict=True)),
        }
        for one in outlines
        if one["deleted"] == "0" and _pixels(one) > 0
    ]
    return pd.DataFrame(rows)


def _pixels(one: dict[str, list[float]]) -> int:
    corners = [value for corner in zip(one["x"], one["y"], strict=True) for value in corner]
    return int(rle.area(rle.merge(rle.frPyObjects([corners], FRAME, FRAME)))) if len(corners) >= 6 else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--phase", choices=("enc", "rec", "rec2", "all"), default="enc")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    seen, named = fixations(given.source, given.phase), objects(given.source)
    seen.to_csv(given.output / "fixations.csv", index=False)
    named.to_csv(given.output / "objects.csv", index=False)
    said = named["animate"].map({"true": "animate", "false": "inanimate", "": "neither"}).value_counts()
    print(f"{len(seen):,} fixations and {len(named):,} outlines of {named['image'].nunique()} images, {given.output}")
    print(", ".join(f"{said[kind]:,} {kind}" for kind in ("animate", "inanimate", "neither")))

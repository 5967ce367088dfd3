"""The fixed list of 5,000 ImageNet validation images, 5 of each class: src/gazetune/data/imagenet_c_5000.txt.

    python scripts/make_imagenet_c_5000.py ILSVRC2012_validation_ground_truth.txt src/gazetune/data/imagenet_c_5000.txt

The rule: of each class, the 5 images whose ids ILSVRC2012_val_00000001, ... come first by their sha256. It has no seed
and needs nothing but the official answers (one development-kit number a line).
"""

import argparse
import hashlib
from pathlib import Path

PER_CLASS = 5
HEADER = f"""\
# Numbers of ImageNet validation images: {PER_CLASS} of each of the 1,000 classes, those whose ids
# (ILSVRC2012_val_00000001 and so on) come first by the sha256 of the id. Made by scripts/make_imagenet_c_5000.py.
"""


def chosen(truth: list[int], per_class: int = PER_CLASS) -> list[int]:
    """The numbers (from 1) of the images whose ids come first by sha256 within their class, in ascending order."""
    by_class: dict[int, list[int]] = {}
    numbers = range(1, len(truth) + 1)
    for n in sorted(numbers, key=lambda n: hashlib.sha256(f"ILSVRC2012_val_{n:08d}".encode()).digest()):
        by_class.setdefault(truth[n - 1], []).append(n)
    return sorted(n for found in by_class.values() for n in found[:per_class])


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    found = chosen(list(map(int, given.truth.read_text().split())))
    given.output.write_text(HEADER + "".join(f"{n}\n" for n in found))


if __name__ == "__main__":
    main()

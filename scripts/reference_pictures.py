"""The pictures of docs/figures.md: figures of finished runs, made small.

    python scripts/reference_pictures.py docs/figures runs/demo=examples,sparsity runs/osie-s42=alignment,heads

Only the generated world may show photos: those of OSIE and SALICON are not ours to publish.
"""

import argparse
from pathlib import Path

from PIL import Image

WIDEST = 1000  # pixels


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("taken", nargs="+", metavar="RUN=NAME,NAME")
    given = parser.parse_args()
    for run, _, names in (text.partition("=") for text in given.taken):
        for name in names.split(","):
            picture = Image.open(Path(run) / "figures" / f"{name}.png").convert("RGB")
            scale = min(0.6, WIDEST / picture.width)
            size = round(picture.width * scale), round(picture.height * scale)
            small = picture.resize(size, Image.Resampling.LANCZOS)  # not fewer colours: scales of maps would lie
            small.save(given.output / f"run-{name}.png", optimize=True)


if __name__ == "__main__":
    main()

"""OSIE: 700 photos with the fixations of 15 observers (Xu, Jiang, Wang, Kankanhalli & Zhao, 2014)."""

from pathlib import Path

import numpy as np

from gazetune.data.matlab import read_matlab
from gazetune.data.stimuli import Fixations, Stimuli, grouped
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_file, sha256_files

CITATION = (
    "Xu, J., Jiang, M., Wang, S., Kankanhalli, M. S., & Zhao, Q. (2014). Predicting human gaze beyond pixels. "
    "Journal of Vision, 14(1), 28."
)
WIDTH, HEIGHT = 800, 600
LAYOUTS = (("fixations.mat", "stimuli"), ("eye/fixations.mat", "stimuli"), ("data/eye/fixations.mat", "data/stimuli"))


def load_osie(path: str | Path) -> Stimuli:
    """OSIE from its original files: `fixations.mat` and `stimuli/*.jpg`.

    The .mat file counts pixels from 1; x and y here are 0-based (x - 1, y - 1), in the 800 x 600 frame of every photo.
    `path` may be the folder that holds both, the repository's `data` folder or the repository itself.

    Raises:
        InputError: the files are not there, or not in the layout of the original.
    """
    root = Path(path).expanduser()
    found = [(root / mat, root / photos) for mat, photos in LAYOUTS if (root / mat).is_file()]
    if not found:
        raise InputError(
            f"No OSIE in '{root}': needed fixations.mat and stimuli/*.jpg. Try 'gazetune fetch osie', "
            f"then --data with the folder it prints."
        )
    mat, photos = found[0]
    try:
        cells = read_matlab(mat, simplify_cells=True)["fixations"]
        names = tuple(str(cell["img"]) for cell in cells)
        records = [(i, o, s) for i, cell in enumerate(cells) for o, s in enumerate(cell["subjects"])]
        columns = {
            k: [np.atleast_1d(s[k]).astype(np.float64).ravel() for *_, s in records]
            for k in ("fix_x", "fix_y", "fix_duration")
        }
        length = np.array([len(x) for x in columns["fix_x"]])
        for column in columns.values():
            if [len(part) for part in column] != length.tolist() or not np.isfinite(np.concatenate(column)).all():
                raise ValueError("x, y and duration of different lengths, or not numbers")
    except (InputError, ValueError, KeyError, TypeError, IndexError) as reason:
        raise InputError(
            f"'{mat}' is not OSIE's fixations.mat ({short(reason, 300)}). Fetch it again: gazetune fetch osie."
        ) from None
    missing = [n for n in names if not (photos / n).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} photos are missing in '{photos}', the first is '{missing[0]}'."
        )
    fixations = Fixations(
        x=(np.concatenate(columns["fix_x"]) - 1).astype(np.float32),
        y=(np.concatenate(columns["fix_y"]) - 1).astype(np.float32),
        observer=np.repeat(np.array([o for _, o, _ in records]), length).astype(np.int32),
        order=np.concatenate([np.arange(n) for n in length]).astype(np.int32),
        duration_ms=np.concatenate(columns["fix_duration"]).astype(np.float32),
    )
    image = np.repeat(np.array([i for i, *_ in records]), length)
    fixations, offsets = grouped(len(names), image, fixations)
    return Stimuli(
        name="osie",
        ids=names,
        width=np.full(len(names), WIDTH),
        height=np.full(len(names), HEIGHT),
        fixations=fixations,
        offsets=offsets,
        paths=tuple(photos / n for n in names),
        sources={"fixations.mat": sha256_file(mat), "stimuli": sha256_files([photos / n for n in names])},
        citation=CITATION,
    )

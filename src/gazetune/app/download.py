"""The maps of photos as a zip, made in memory."""

import json
import re
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from gazetune.app.answers import Answer
from gazetune.app.show import png
from gazetune.run import FORMULA


def zipped(found: Sequence[tuple[str, Sequence[Answer]]], about: dict[str, Any]) -> bytes:
    """A zip of what the models made of photos.

    PHOTO/MODEL.npy: the map, 0..1, float32 [height, width] on the map grid, the photo squashed to it; PHOTO/MODEL.png:
    the same in colour. predictions.csv: photo, model, rank, class, probability. about.json: `about`, and how each map
    was read or why there is none.

    found: name of a photo and the answers of all models. Names are made fit for files; two of one name get numbers.
    """
    buffer, taken, rows, maps = BytesIO(), set[str](), [], []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, answers in found:
            folder = _folder(name, taken)
            taken.add(folder)
            for answer in answers:
                maps.append(
                    {"photo": name, "folder": folder, "model": answer.key, "map": answer.how, "why": answer.why}
                )
                for rank, (label, probability) in enumerate(answer.top or (), start=1):
                    rows.append((name, answer.key, rank, label, probability))
                if answer.map is not None:
                    array = BytesIO()
                    np.save(array, answer.map, allow_pickle=False)
                    archive.writestr(f"{folder}/{answer.key}.npy", array.getvalue())
                    archive.writestr(f"{folder}/{answer.key}.png", png(answer.map))
        archive.writestr("predictions.csv", _table(rows))
        archive.writestr("about.json", json.dumps({**about, "maps": maps}, indent=1, ensure_ascii=False) + "\n")
    return buffer.getvalue()


def _folder(name: str, taken: set[str]) -> str:
    stem = re.sub(r"[^\w-]+", "_", PurePath(name).stem).strip("_") or "photo"
    number = 2
    while (unique := stem if number == 2 and stem not in taken else f"{stem}_{number}") in taken:
        number += 1
    return unique


def _table(rows: Sequence[tuple[str, str, int, str, float]]) -> str:
    table = pd.DataFrame(rows, columns=["photo", "model", "rank", "class", "probability"])
    for column in ("photo", "class"):  # else a spreadsheet would run some as formulas
        table[column] = table[column].astype(str).str.replace(FORMULA, r"'\1", regex=True)
    return table.to_csv(index=False, lineterminator="\n", float_format="%.9g")

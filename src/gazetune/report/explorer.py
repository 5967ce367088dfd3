"""explorer.html: every test image with the maps of people and models on it, to sort, filter and look at, from disk."""

import json
from collections.abc import Collection, Mapping
from importlib import resources
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from jaxtyping import Int

from gazetune.figures.style import DIFFERENCE, MAP
from gazetune.metrics import Metric
from gazetune.prepared import Prepared, load_prepared
from gazetune.report.explorer_maps import stored_fixations, stored_maps
from gazetune.report.explorer_table import explorer_table
from gazetune.report.thumbnails import MOST_IMAGES, picture_name, shown_rows, thumbnails_from_cache
from gazetune.run import SUMMARY, Json, Run

EXPLORER = "explorer.html"
PAGE = "explorer_page"  # the folder of this package with the page's parts
SCRIPTS = ("stored.js", "maps.js", "choice.js", "list.js", "viewer.js", "page.js")  # in this order
SHADES = 256
Size = tuple[int, int]


def write_explorer(
    run: Run,
    scored: Mapping[str, Collection[str]],
    roles: Mapping[str, str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
    sizes: Collection[Size],
    pictures: Collection[str] = (),
    most: int = MOST_IMAGES,
) -> list[str]:
    """Write explorer.html and its data in explorer/: of every data set a table, maps and fixations as scripts.

    A page that is opened from disk may load scripts, but no other data; so the data are scripts with one call each.

    Args:
        run: with tables made. scored: data set -> the files that its scoring wrote; no page without any.
        roles, labels: of each model, by key. sizes: of the decoded photos (height, width).
        pictures: small photos that lie in the run already; a data set without any gets them from its decoded photos.
        most: images of a data set; of more, so many are shown, evenly chosen, which the page says.
    """
    if not scored:
        return []
    written, datasets = [], []
    for name, files in scored.items():
        test = load_prepared(run, name, sizes)
        held = {p for p in pictures if p.startswith(f"explorer/{name}/")}
        if not held and sizes:
            made = thumbnails_from_cache(run, test, max(sizes), most)
            written += made
            held = set(made)
        names, about = _dataset(run, test, shown_rows(test.table["split"], most), files, labels, metrics, held)
        written += names
        datasets.append(about)
    about = {"run": run.json(SUMMARY)["experiment"], "datasets": datasets, "roles": dict(roles)}
    return [*written, run.write(EXPLORER, _page(about))]


def _dataset(
    run: Run,
    test: Prepared,
    tested: Int[np.ndarray, " tested"],
    files: Collection[str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
    pictures: Collection[str],
) -> tuple[list[str], dict[str, Json]]:
    """The three files of a data set, and what the page must know of it before they are loaded.

    tested: positions of the test images to show, whether they can be used or not.
    """
    usable = test.rows("test")
    rows = tested[np.isin(tested, usable)]
    table = explorer_table(run, test, rows, files, labels, metrics)
    table["pictures"] = [name if (name := picture_name(test.name, row)) in pictures else "" for row in rows.tolist()]
    parts: dict[str, Json] = {
        "table": table,
        "maps": stored_maps(run, test, rows, list(labels)),
        "fixations": stored_fixations(test, rows),
    }
    names = {part: f"explorer/{test.name}-{part}.js" for part in parts}
    written = [run.write(names[part], _call(part, test.name, value)) for part, value in parts.items()]
    about = {"name": test.name, "files": names, "shown": len(rows), "usable": len(usable)}
    return written, about | {"left_out": len(shown_rows(test.table["split"], len(test.table))) - len(usable)}


def _call(part: str, dataset: str, value: Json) -> str:
    """A script that hands data to the page."""
    return f"explorer.take({script_json(part)}, {script_json(dataset)}, {script_json(value)});\n"


def script_json(value: Json) -> str:
    """JSON that may stand in a script: no text in it can end the script or begin a comment of HTML. NaN is refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def _page(about: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    folder = resources.files("gazetune") / "report" / PAGE
    scripts = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    shades = {"map": _shades(MAP), "difference": _shades(DIFFERENCE)}
    return environment.from_string((folder / "explorer.html").read_text("utf-8")).render(
        title=about["run"],
        style=(folder / "explorer.css").read_text("utf-8"),
        about=script_json({**about, "shades": shades}),
        scripts=scripts,
    )


def _shades(name: str) -> list[str]:
    """The colours of a colour map from its low to its high end, as RRGGBB."""
    return [mpl.colors.to_hex(colour)[1:] for colour in mpl.colormaps[name](np.linspace(0, 1, SHADES))]

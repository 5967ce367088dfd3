"""The figures of a run as they stand in its page: which, in which order, with which words, and within which size."""

import base64
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from PIL import Image

from gazetune.figures.alt import ALT
from gazetune.run import Run

MOST_SVG_BYTES = 400_000  # a larger drawing has thousands of points, and is shown as pixels
LEAST_WIDTH_PX = 480  # no figure is made smaller than this
STEP = 0.75  # by which a side of the largest figure shrinks until the page fits
JPEG_QUALITY = 88
MEDIA = {"png": "image/png", "svg": "image/svg+xml", "jpeg": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A figure as it is embedded: its bytes, and the files of the run that it and its numbers lie in."""

    name: str
    alt: str
    form: str
    content: bytes
    file: str
    numbers: str
    size_px: tuple[int, int] | None = None

    @property
    def address(self) -> str:
        """The picture as an address of the page itself."""
        return f"data:{MEDIA[self.form]};base64,{base64.b64encode(self.content).decode()}"

    @property
    def bytes_on_page(self) -> int:
        """How many bytes of the page it takes: base64 makes four of three."""
        return -(-len(self.content) // 3) * 4


def pictures(run: Run, alt: Mapping[str, str] = ALT) -> list[Picture]:
    """Every figure that the run recorded: those of `alt` in its order, then others by name.

    As SVG where there is one of at most MOST_SVG_BYTES, else as PNG.
    """
    # a figure that lies there and was not recorded may be of other settings
    recorded = run.stages().get("figures", {"outputs": {}})["outputs"]
    drawn = {file for file in recorded if run.file(file).is_file()}
    names = {file.removeprefix("figures/").rpartition(".")[0] for file in drawn if file.endswith((".png", ".svg"))}
    ordered = [*(name for name in alt if name in names), *sorted(names - set(alt))]
    return [_picture(run, name, alt.get(name, f"Figure {name}."), drawn) for name in ordered]


def _picture(run: Run, name: str, alt: str, drawn: Collection[str]) -> Picture:
    png, svg, table = (f"figures/{name}.{kind}" for kind in ("png", "svg", "csv"))
    small = svg in drawn and (png not in drawn or run.file(svg).stat().st_size <= MOST_SVG_BYTES)
    file = svg if small else png
    size = None if small else Image.open(run.file(file)).size
    numbers = table if table in drawn else ""
    return Picture(name, alt, "svg" if small else "png", run.file(file).read_bytes(), file, numbers, size)


def fitted(shown: list[Picture], room: int) -> tuple[list[Picture], list[str]]:
    """The pictures within `room` bytes of the page, and in words what had to be scaled or left out for it.

    The one that takes most is scaled down, again and again, to LEAST_WIDTH_PX at least; if that is not enough, the
    largest are left out.
    """
    whole = {picture.name: picture for picture in shown}
    kept = dict(whole)
    while sum(p.bytes_on_page for p in kept.values()) > room:
        able = [p for p in kept.values() if p.size_px is not None and p.size_px[0] * STEP >= LEAST_WIDTH_PX]
        if able:
            largest = max(able, key=lambda p: p.bytes_on_page)
            kept[largest.name] = _scaled(whole[largest.name], largest)
        else:
            del kept[max(kept.values(), key=lambda p: p.bytes_on_page).name]
    notes = []
    for name, picture in whole.items():
        now, before = kept.get(name), picture.size_px
        if now is None:
            notes.append(f"{name} is left out here (see {picture.file})")
        elif now.size_px != before and now.size_px and before:
            sizes = " to ".join(f"{width} x {height}" for width, height in (before, now.size_px))
            notes.append(f"{name} is scaled from {sizes} pixels (full size: {picture.file})")
    return list(kept.values()), notes


def _scaled(whole: Picture, now: Picture) -> Picture:
    """A picture one step smaller than it is now, made from the whole one: PNG or JPEG, whichever is smaller."""
    opened = Image.open(io.BytesIO(whole.content)).convert("RGB")
    width, height = (max(1, round(side * STEP)) for side in now.size_px or opened.size)
    small = opened.resize((width, height), Image.Resampling.LANCZOS)
    found = {}
    for form in ("png", "jpeg"):
        buffer = io.BytesIO()
        small.save(buffer, form, **({"optimize": True} if form == "png" else {"quality": JPEG_QUALITY}))
        found[form] = buffer.getvalue()
    form = min(found, key=lambda f: len(found[f]))
    return replace(whole, form=form, content=found[form], size_px=(width, height))

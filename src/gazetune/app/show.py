"""Answers as HTML, with every picture inside of it: nothing is written anywhere, and text from outside stays text."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO

import numpy as np
from jaxtyping import Float32, Float64
from matplotlib import colormaps
from PIL import Image

from gazetune.app.answers import Answer
from gazetune.app.photos import Photo
from gazetune.app.study import People
from gazetune.figures.style import MAP
from gazetune.metrics import Metric

EMPTY = '<p class="gt-empty">Drop in a photo, or choose one of the run&#x27;s test images.</p>'

Shade = Float32[np.ndarray, "height width"] | Float64[np.ndarray, "height width"]


def png(shade: Shade) -> bytes:
    """A map of 0..1 as PNG in the colours of every figure (cividis), one byte a pixel."""
    levels = np.round(shade.clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette((np.array(colormaps[MAP](range(256)))[:, :3] * 255).round().astype(np.uint8).tobytes())
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def brightest(shade: Shade) -> str:
    """Where a map is brightest, in words, for who cannot see it."""
    row, column = np.unravel_index(int(shade.argmax()), shade.shape)
    across, down = (column + 0.5) / shade.shape[1], (row + 0.5) / shade.shape[0]
    return f"brightest {across:.0%} across from the left and {down:.0%} down from the top"


def photo_card(photo: Photo) -> str:
    """The photo alone."""
    caption = f"{photo.width} x {photo.height} pixels"
    return _card("Photo", photo, "", f"The photo {photo.name}", caption)


def people_card(photo: Photo, people: People) -> str:
    """Where people looked: density and fixations."""
    n = len(people.x)
    said = f"{n} fixation{'s' * (n != 1)} of {people.observers} observer{'s' * (people.observers != 1)}"
    if people.density is None:
        return _card("People", photo, "", f"The photo {photo.name}; nobody's fixations", "No fixations of this image.")
    dots = "".join(
        f'<circle cx="{100 * x:.2f}%" cy="{100 * y:.2f}%" r="2"/>' for x, y in zip(people.x, people.y, strict=True)
    )
    over = f'{_over(people.density)}<svg aria-hidden="true">{dots}</svg>'
    return _card("People", photo, over, f"Where people looked in {photo.name}: {brightest(people.density)}", said)


def answer_card(photo: Photo, answer: Answer) -> str:
    """Where one model looks, and the five classes that it thinks most of."""
    if answer.map is None:
        over, seen, how = "", f"The photo {photo.name}; no map of {answer.label}", f"{answer.how}. {answer.why}"
    else:
        over, how = _over(answer.map), answer.how
        seen = f"Where {answer.label} looks in {photo.name}: {brightest(answer.map)}"
    return _card(answer.label, photo, over, seen, how, _predictions(answer))


def _card(title: str, photo: Photo, over: str, seen: str, caption: str, below: str = "") -> str:
    plain = "" if not over else " under"
    return (
        f'<figure class="gt-card"><h3>{escape(title)}</h3>'
        f'<div class="gt-stack" role="img" aria-label="{escape(seen)}" '
        f'style="aspect-ratio:{photo.width}/{photo.height}">'
        f'<img class="gt-photo{plain}" alt="" src="{_data(photo.shown, "jpeg")}">{over}</div>'
        f"<figcaption>{escape(caption)}</figcaption>{below}</figure>"
    )


def _over(shade: Shade) -> str:
    return f'<img class="gt-map" alt="" src="{_data(png(shade), "png")}">'


def _predictions(answer: Answer) -> str:
    if answer.top is None:
        return '<p class="gt-top">No classification head, so no predictions.</p>'
    rows = "".join(
        f'<li><span class="gt-bar" style="width:{100 * p:.1f}%"></span><span>{escape(name)}</span><b>{p:.1%}</b></li>'
        for name, p in answer.top
    )
    return f'<ol class="gt-top" aria-label="Top {len(answer.top)} predictions of {escape(answer.label)}">{rows}</ol>'


def score_table(rows: Sequence[tuple[str, dict[str, float]]], metrics: dict[str, Metric], reason: str = "") -> str:
    """One row a map, one column a metric; a dash where there is no value."""
    head = "".join(f'<th scope="col">{escape(m.heading or name)}</th>' for name, m in metrics.items())
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(f"<td>{_number(values.get(name, np.nan))}</td>" for name in metrics)
        + "</tr>"
        for label, values in rows
    )
    return (
        '<section class="gt-scores"><h3>Against the people who looked at this image</h3>'
        f'<div class="gt-wide" tabindex="0" role="region" aria-label="Scores of this image">'
        f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>{note(reason)}"
        + note("One image says little about a model. The means over all test images stand in report.html.")
        + "</section>"
    )


def heads_table(label: str, heads: Float64[np.ndarray, "layer head gh gw"], aspect: float) -> str:
    """Every head of every layer of a model as a small map, each scaled to its own 0..1."""
    layers, n = heads.shape[:2]
    top = "".join(f'<th scope="col">{head + 1}</th>' for head in range(n))
    body = "".join(
        f'<tr><th scope="row">{layer + 1}</th>'
        + "".join(
            f"<td>{_cell(heads[layer, head], f'layer {layer + 1}, head {head + 1}', aspect)}</td>" for head in range(n)
        )
        + "</tr>"
        for layer in range(layers)
    )
    return (
        f'<section class="gt-heads"><h3>{escape(label)}</h3><div class="gt-wide" tabindex="0" role="region" '
        f'aria-label="Heads of {escape(label)}"><table><caption>layers down, heads across</caption>'
        f"<thead><tr><td></td>{top}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _cell(shade: Float64[np.ndarray, "gh gw"], what: str, aspect: float) -> str:
    if np.isnan(shade).any():
        return "constant"
    return f'<img alt="{what}: {brightest(shade)}" style="aspect-ratio:{aspect:.3f}" src="{_data(png(shade), "png")}">'


def cards(title: str, *rows: Sequence[str], after: str = "") -> str:
    """Cards side by side, row by row, under the name of the picture."""
    columns = max(3, *(min(len(row), 4) for row in rows))
    grids = "".join(f'<div class="gt-cards" style="--gt-columns:{columns}">{"".join(row)}</div>' for row in rows)
    return f'<h2 class="gt-name">{escape(title)}</h2>{grids}{after}'


def message(text: str, bad: bool = False) -> str:
    """A line for the person, read aloud where a screen reader is at work; empty for nothing to say."""
    if not text:
        return '<div role="status"></div>'
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines())
    return f'<div role="{"alert" if bad else "status"}" class="gt-said{" gt-bad" if bad else ""}">{lines}</div>'


def note(text: str) -> str:
    """A small remark; empty for none."""
    return f'<p class="gt-note">{escape(text)}</p>' if text else ""


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def heading(run: str, models: Sequence[str], silent: Mapping[str, str]) -> str:
    """What the page is of, and which models of the run cannot answer."""
    lines = "\n".join(f"{label} cannot answer for a photo: {why}" for label, why in silent.items())
    return (
        f"<header><h1>Where do they look?</h1><p>Attention and predictions of {escape(', '.join(models))} from the run "
        f"<b>{escape(run)}</b> for a photo of yours, side by side. Each map is scaled by itself, from blue to yellow: "
        f"it says where, not how much. Photos stay in this computer's memory until the page is closed.</p></header>"
        f"{message(lines) if lines else ''}"
    )

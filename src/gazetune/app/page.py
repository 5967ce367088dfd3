"""The page itself, in Gradio: what there is to see, and what happens when something is dropped, chosen or clicked."""

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import Font

from gazetune.app import live as ask
from gazetune.app import show
from gazetune.app.answers import OWN, Reading
from gazetune.app.live import Live, Picture
from gazetune.app.photos import MEGABYTES, MEGAPIXELS, WORDS, read_photo
from gazetune.app.sessions import PHOTOS, Sessions
from gazetune.errors import InputError

STUDY = "study/"  # how the name of a test image begins: study/DATA SET/IMAGE
SWEEP_SECONDS = (60, 60)  # files that were uploaded and never asked about: looked for every, deleted after
FONT = [Font(name) for name in ("system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")]
MONO = [Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
MOST_LINES = 5  # of what is said of the files of a folder
OPACITY = 65  # percent, as in the figures
LEFT_OUT = f"A page keeps {PHOTOS} photos; the rest was left out. Reload the page to begin anew."
GONE = "That photo is no longer held here. Drop it in again."


def look() -> dict[str, Any]:
    """How the page looks, for `launch`: the system's own fonts, so that none is asked for elsewhere."""
    files = resources.files("gazetune") / "app"
    theme = gr.themes.Default(primary_hue="blue", neutral_hue="gray", font=FONT, font_mono=MONO)
    return {
        "theme": theme,
        "css": (files / "page.css").read_text("utf-8"),
        "js": (files / "page.js").read_text("utf-8"),
    }


def build(live: Live, uploads: Path) -> gr.Blocks:
    """The page of a run. `uploads`: the folder that Gradio writes what is dropped to; read and deleted at once."""
    sessions = Sessions()
    title = f"{live.job.run.path.resolve().name} – gazetune"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=SWEEP_SECONDS, fill_width=True) as page:
        gr.HTML(
            padding=False,
            value=show.heading(live.job.run.path.resolve().name, [a.label for a in live.asked], live.silent),
        )
        with gr.Row(elem_id="gt-columns"):
            with gr.Column(scale=1, min_width=300, elem_id="gt-controls"):
                parts = _pictures(live) | _readings(live)
            with gr.Column(scale=4, min_width=320):
                parts["said"] = gr.HTML(show.message(""), elem_id="gt-said", padding=False)
                parts["result"] = gr.HTML(show.EMPTY, elem_id="gt-result", padding=False)
                with gr.Accordion("Every head of every layer", open=False, elem_id="gt-every"):
                    parts["every"] = gr.Button("Show the heads for this picture", size="sm")
                    parts["heads"] = gr.HTML("", elem_id="gt-heads", padding=False)
        parts["chosen"], parts["zip"] = gr.State(""), gr.Textbox(visible=False)
        _wire_pictures(live, sessions, uploads, parts)
        _wire_readings(live, sessions, parts)
        page.unload(_forgetting(sessions))
    return page


def _pictures(live: Live) -> dict[str, Any]:
    """The controls that choose a picture."""
    limits = f"{WORDS}; up to {MEGABYTES} MB and {MEGAPIXELS} megapixels each"
    parts: dict[str, Any] = {
        "drop": gr.File(label="Drop photos or a folder", file_count="multiple", file_types=["image"], height=150,
                        elem_id="gt-drop"),
        "folder": gr.UploadButton("Choose a folder", file_count="directory", size="sm",
                                  elem_id="gt-folder"),
    }  # fmt: skip
    gr.HTML(show.note(limits), padding=False)
    parts["photo"] = gr.Dropdown([], value=None, label="Your photos", visible=False, elem_id="gt-photo")
    choices = [
        (image if len(live.studies) == 1 else f"{name}: {image}", f"{STUDY}{name}/{image}")
        for name, study in live.studies.items()
        for image in study.images
    ]
    parts["study"] = gr.Dropdown(
        choices,
        value=None,
        label="Test images of the run, with human data (type to find)",
        visible=bool(choices),
        elem_id="gt-study",
    )
    if not choices:
        gr.HTML(padding=False, value=show.note(f"No human scores here. {live.missing}"))
    return parts


def _readings(live: Live) -> dict[str, Any]:
    """The controls that say how attention is read and shown."""
    layers = max(asked.layers for asked in live.asked)
    heads = max(asked.backbone.heads for asked in live.asked)
    methods = [(label, name) for name, label in ask.methods_of(live).items()]
    parts: dict[str, Any] = {"method": gr.Dropdown(methods, value=OWN, label="Attention method", elem_id="gt-method")}
    with gr.Row():
        parts["layer"] = gr.Dropdown([("all", 0), *_numbers(layers)], value=0, label="Layer", visible=layers > 0,
                                     min_width=100, elem_id="gt-layer")  # fmt: skip
        parts["head"] = gr.Dropdown([("mean", 0), *_numbers(heads)], value=0, label="Head", visible=layers > 0,
                                    min_width=100, interactive=False, elem_id="gt-head")  # fmt: skip
    parts["opacity"] = gr.Slider(0, 100, OPACITY, step=1, label="Opacity of the map, %", elem_id="gt-opacity")
    parts["download"] = gr.Button("Download these maps", size="sm", elem_id="gt-download")
    parts["all"] = gr.Button("Download the maps of all my photos", size="sm", visible=False, elem_id="gt-all")
    return parts


def _numbers(n: int) -> list[tuple[str, int]]:
    return [(str(i), i) for i in range(1, n + 1)]


def _wire_pictures(live: Live, sessions: Sessions, uploads: Path, parts: Mapping[str, Any]) -> None:
    def take(files: Any, request: gr.Request) -> tuple[Any, ...]:
        page = str(request.session_hash)
        token, said = _take(live, sessions, page, uploads, files or [])
        mine = [(photo.name, name) for name, photo in sessions.photos(page).items()]
        choice = gr.skip() if token is None else None
        return (
            None,
            gr.update(choices=mine, visible=bool(mine))
            if token is None
            else gr.update(choices=mine, value=token, visible=True),
            choice,
            gr.skip() if token is None else token,
            show.message(said, bad=True),
            gr.update(visible=len(mine) > 1),
        )

    changed = [parts[name] for name in ("photo", "study", "chosen", "said", "all")]
    for drop in (parts["drop"], parts["folder"]):
        # raw: Gradio would leave an empty file beside each; `_take` checks where the files lie instead
        event = drop.upload(take, drop, [drop, *changed], preprocess=False, api_visibility="private")
        _then_draw(live, sessions, parts, event, fresh=True)

    def pick(chosen: str | None) -> tuple[Any, ...]:
        # left without a choice, a box changes nothing: the picture that is shown stays
        return (chosen, None, show.message("")) if chosen else (gr.skip(), gr.skip(), gr.skip())

    for name, other in (("photo", "study"), ("study", "photo")):
        changed = [parts["chosen"], parts[other], parts["said"]]
        event = parts[name].input(pick, parts[name], changed, api_visibility="private")
        _then_draw(live, sessions, parts, event, fresh=True)


def _wire_readings(live: Live, sessions: Sessions, parts: Mapping[str, Any]) -> None:
    reading = [parts[name] for name in ("method", "layer", "head")]
    parts["layer"].input(
        lambda layer: (gr.update(interactive=layer > 0), gr.update(interactive=layer == 0)),
        parts["layer"], [parts["head"], parts["method"]], api_visibility="private",
    )  # fmt: skip
    for control in reading:
        _then_draw(live, sessions, parts, control, fresh=False)
    parts["opacity"].input(None, parts["opacity"], js="(value) => { gazetune.fade(value); }", api_visibility="private")

    def pack(all_of_them: bool) -> Callable[..., tuple[str, str]]:
        def packed(chosen: str, method: str, layer: int, head: int, request: gr.Request) -> tuple[str, str]:
            try:
                own = list(sessions.photos(str(request.session_hash)).values())
                photos = own if all_of_them else [_picture(live, sessions, chosen, request).photo]
                content = ask.maps_zip(live, photos, Reading(method, layer, head))
            except InputError as reason:
                return "", show.message(str(reason), bad=True)
            return base64.b64encode(content).decode(), show.message("")

        return packed

    for name, every in (("download", False), ("all", True)):
        event = parts[name].click(
            pack(every), [parts["chosen"], *reading], [parts["zip"], parts["said"]], api_visibility="private"
        )
        event.then(
            None, parts["zip"], parts["zip"], js="(content) => { gazetune.save(content); return ''; }",
            api_visibility="private",
        )  # fmt: skip

    def every_head(chosen: str, request: gr.Request) -> str:
        try:
            return ask.heads(live, _picture(live, sessions, chosen, request).photo)
        except InputError as reason:
            return show.message(str(reason), bad=True)

    parts["every"].click(every_head, parts["chosen"], parts["heads"], api_visibility="private")


def _then_draw(live: Live, sessions: Sessions, parts: Mapping[str, Any], event: Any, fresh: bool) -> None:
    """After this event (or when a control is used) show the chosen picture; `fresh`: it is another one than before."""

    def draw(chosen: str, method: str, layer: int, head: int, request: gr.Request) -> tuple[Any, Any]:
        if not chosen:
            return show.EMPTY, "" if fresh else gr.skip()
        try:
            picture = _picture(live, sessions, chosen, request)
            shown = ask.view(live, picture, Reading(method, layer, head))
        except InputError as reason:
            shown = show.message(str(reason), bad=True)
        return shown, "" if fresh else gr.skip()

    given = [parts[name] for name in ("chosen", "method", "layer", "head")]
    after = event.then if fresh else event.input
    after(draw, given, [parts["result"], parts["heads"]], api_visibility="private", show_progress="minimal")


def _take(
    live: Live, sessions: Sessions, page: str, uploads: Path, files: Sequence[Mapping[str, Any]]
) -> tuple[str | None, str]:
    """Read uploaded files into memory and delete them; the last photo's name, and what is to be said, a line a file."""
    token, said, full = None, list[str](), False
    for file in sorted(files, key=lambda file: str(file.get("orig_name"))):
        path, name = Path(str(file.get("path"))).resolve(), str(file.get("orig_name") or "photo")
        if not path.is_relative_to(uploads.resolve()):  # the page's own uploads and nothing else
            continue
        try:
            kept = sessions.add(page, read_photo(path.read_bytes(), name, live.sizes))
            token = kept or token
            full = full or kept is None
        except InputError as reason:
            said.append(str(reason))
        except FileNotFoundError:
            said.append(f"'{name}' was gone before it could be read. Drop it in again.")
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # Gradio names the folder after the file's sha256
                path.parent.rmdir()
    if len(said) > MOST_LINES:
        said = [*said[:MOST_LINES], f"... and {len(said) - MOST_LINES} more files that could not be read."]
    return token, "\n".join([*said, *([LEFT_OUT] if full else [])])


def _picture(live: Live, sessions: Sessions, chosen: str, request: gr.Request) -> Picture:
    """What a name stands for on this page. Raises InputError for nothing chosen, or what is no longer there."""
    if chosen.startswith(STUDY):
        study, _, image = chosen.removeprefix(STUDY).partition("/")
        return ask.study_picture(live, study, image)
    if not chosen:
        raise InputError("First drop in a photo, or choose a test image.")
    mine = sessions.photos(str(request.session_hash))
    if chosen not in mine:
        raise InputError(GONE)
    return Picture(mine[chosen])


def _forgetting(sessions: Sessions) -> Callable[[gr.Request], None]:
    def forget(request: gr.Request) -> None:
        sessions.forget(str(request.session_hash))

    return forget

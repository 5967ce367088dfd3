"""The live page in a real browser, served as a user serves it: what is answered, and what stays behind."""

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from playwright.sync_api import TimeoutError as NotInTime

from browser import Watched
from gazetune import Run
from gazetune.app import live as ask
from gazetune.app.answers import Reading
from gazetune.app.photos import MEGABYTES, read_photo
from gazetune.app.show import png
from gazetune.commands.settings import of_run
from live import drawn, empty_png, encoded
from worlds import gazetune

SECONDS = 60  # to wait for the server, which imports torch on a busy machine
MAPS = "#gt-result .gt-map"


def files_of(folder):
    return sorted((str(p.relative_to(folder)), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())


def uploads(temporary):
    """What lies in the folder that the server writes uploads to."""
    return [p for folder in temporary.glob("gazetune-app-*") for p in folder.rglob("*") if p.is_file()]


@pytest.fixture(scope="module")
def library(trained_run):
    return ask.open_run(trained_run, of_run(Run(trained_run)), torch.device("cpu"))


@pytest.fixture(scope="module")
def proxy():
    """Where the server would turn to for any other host; nobody may."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.fixture(scope="module")
def server(trained_run, tmp_path_factory, browser, proxy):
    """The address of the page, and the folder for temporary files; Ctrl-C must end it well and leave nothing."""
    temporary = tmp_path_factory.mktemp("temporary")
    before = files_of(trained_run)
    environment = os.environ | {"TMPDIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "True", "GRADIO_SHARE": "True"}
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    environment |= {"HTTP_PROXY": address, "HTTPS_PROXY": address, "ALL_PROXY": address, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "gazetune", "app", str(trained_run), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        pytest.fail("".join(said))
    yield found[0], temporary
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 0, rest
    assert "Closed. No photo was kept." in rest
    assert "Traceback" not in rest
    assert list(temporary.glob("gazetune-app-*")) == []
    assert files_of(trained_run) == before


@pytest.fixture()
def page(server, watched):
    watched.page.goto(server[0])
    watched.page.wait_for_selector("#gt-drop input[type=file]", state="attached")
    return watched.page


@pytest.fixture(autouse=True)
def clean(server, watched):
    """Whatever a test does: no error, no request to another host, no file of an upload."""
    yield
    assert watched.errors == []
    assert watched.elsewhere == []
    assert uploads(server[1]) == []


def dropped(name, content):
    return {"name": name, "mimeType": "image/png", "buffer": content}


def drop(page, *files, into="#gt-drop"):
    page.set_input_files(f"{into} input[type=file]" if into == "#gt-drop" else into, list(files))


def shown(page):
    """The maps on the page as PNG bytes, in order."""
    sources = page.eval_on_selector_all(MAPS, "all => all.map(one => one.src)")
    return [base64.b64decode(source.partition(",")[2]) for source in sources]


def expected(library, content, reading=None, name="scene.png"):
    found = ask.answers(library, read_photo(content, name, library.sizes), reading or Reading())
    return [png(one.map) for one in found]


def choose(page, control, text):
    page.click(f"{control} input")
    page.locator(control).get_by_role("option", name=text, exact=True).click()


def test_a_photo_gives_three_maps_and_predictions(page, library, watched):
    content = encoded(drawn())
    drop(page, dropped("scene.png", content))
    page.wait_for_selector(MAPS)
    assert shown(page) == expected(library, content)
    assert page.locator("#gt-result h3").all_inner_texts() == ["Photo", *(one.label for one in library.asked)]
    assert page.locator("#gt-result ol.gt-top").count() == 3
    answer = ask.answers(library, read_photo(content, "scene.png", library.sizes), Reading())[0]
    first = page.locator("#gt-result ol.gt-top").first.locator("li").first.inner_text()
    assert first.split() == [*answer.top[0][0].split(), f"{answer.top[0][1]:.1%}"]
    assert watched.serious() == []

    page.click("#gt-study input")  # a box that is left without a choice changes nothing
    page.keyboard.press("Escape")
    page.locator("h1").first.click()
    page.wait_for_timeout(1500)
    assert shown(page) == expected(library, content)
    assert page.locator("#gt-photo input").input_value() == "scene.png"

    page.evaluate("gazetune.fade(30)")
    assert page.eval_on_selector(MAPS, "one => getComputedStyle(one).opacity") == "0.3"
    page.locator("#gt-opacity input[type=range]").fill("80")
    page.wait_for_function(f"getComputedStyle(document.querySelector('{MAPS}')).opacity == '0.8'")

    with page.expect_download() as download:
        page.click("#gt-download")
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
        array = np.load(io.BytesIO(archive.read("scene/before.npy")))
    maps = {one.key: one.map for one in ask.answers(library, read_photo(content, "s", library.sizes), Reading())}
    np.testing.assert_array_equal(array, maps["before"])
    assert {"scene/before.png", "scene/after-s42.npy", "predictions.csv", "about.json"} <= set(names)


def test_method_layer_and_head_are_chosen(page, library, watched):
    content = encoded(drawn(seed=1))
    drop(page, dropped("scene.png", content))
    page.wait_for_selector(MAPS)
    choose(page, "#gt-method", "Grad-CAM")
    page.wait_for_selector("text=Grad-CAM, explains the class")
    assert shown(page) == expected(library, content, Reading("gradcam"))
    choose(page, "#gt-layer", "2")
    page.wait_for_selector("text=layer 2, mean of the heads")
    choose(page, "#gt-head", "1")
    page.wait_for_selector("text=layer 2, head 1")
    assert shown(page) == expected(library, content, Reading("gradcam", 2, 1))
    page.click("#gt-every > button")
    page.get_by_role("button", name="Show the heads for this picture").click()
    page.wait_for_selector("#gt-heads table")
    assert page.locator("#gt-heads td img").count() == 3 * 3 * 2
    assert watched.serious() == []


def test_what_is_no_photo_is_refused_in_words(page, tmp_path, watched):
    good = encoded(drawn(seed=2))
    drop(
        page,
        dropped("letter.jpg", b"Dear Sir or Madam"),
        dropped("scene.png", good),
        dropped("huge.png", empty_png(9000, 9000)),
    )
    page.wait_for_selector(MAPS)  # the good one among them
    said = page.locator("#gt-said [role=alert]").inner_text()
    assert "'letter.jpg' is not an image that can be read" in said
    assert "'huge.png' has 81 megapixels (9000x9000); at most 50 are read" in said
    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(good + b"\0" * (MEGABYTES * 2**20))
    drop(page, str(heavy))
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    assert page.locator(MAPS).count() == 3  # what was shown is still there
    page.wait_for_function("getComputedStyle(document.querySelector('.toast-body')).opacity == 1")  # it fades in
    assert watched.serious() == []


def test_an_upload_past_the_page_is_limited_too(server, trained_run):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body += b"\0" * (MEGABYTES * 2**20 + 1) + b"\r\n--x--\r\n"
    asked = urllib.request.Request(
        f"{server[0]}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 413
    for name in ("evil.example", "evil.example:80"):  # a page elsewhere whose name leads to this computer
        other = urllib.request.Request(server[0], headers={"Host": name})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(other)
        assert refused.value.code == 400
    for path in (trained_run / "config.yaml", "/etc/hostname"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server[0]}/gradio_api/file={path}")
        assert refused.value.code in (403, 404)


def test_a_folder_and_names_that_are_code(page, tmp_path, library):
    folder = tmp_path / "photos"
    (folder / "inside").mkdir(parents=True)
    for i, name in enumerate(("b.png", "inside/a.png", "<img src=x onerror=alert(1)>${1+1}.png")):
        (folder / name).write_bytes(encoded(drawn(seed=10 + i)))
    (folder / "notes.txt").write_text("not a photo")
    with page.expect_file_chooser() as chooser:
        page.click("#gt-folder")
    chooser.value.set_files(str(folder))
    page.wait_for_selector(MAPS)
    said = page.locator("#gt-said").inner_text()
    assert "'notes.txt' is not an image" in said
    page.click("#gt-photo input")
    names = page.get_by_role("option").all_inner_texts()
    assert len(names) == 3
    code = next(name for name in names if "onerror" in name)
    page.keyboard.press("Escape")
    page.wait_for_selector("#gt-all")
    with page.expect_download() as download:
        page.click("#gt-all")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".npy")]) == 9
    page.click("#gt-photo input")
    page.get_by_role("option").filter(has_text="onerror").click()
    page.wait_for_function("document.querySelector('.gt-name').innerText.includes('onerror')")
    assert page.locator(".gt-name").inner_text() == code.lstrip("✓ ").strip()
    assert page.locator("#gt-result img[src=x]").count() == 0


def test_a_test_image_has_people_and_scores(page, library, watched):
    study = library.studies["table"]
    choose(page, "#gt-study", study.images[1])
    page.wait_for_selector(".gt-scores")
    assert page.locator("#gt-result h3").all_inner_texts()[:2] == ["Photo", "People"]
    after = next(one for one in ask.answers(library, study.photo(study.images[1]), Reading()) if one.key == "after-s42")
    row = page.locator(".gt-scores tbody tr", has_text=after.label).locator("td").all_inner_texts()
    scores = study.scores(study.images[1], after.map)
    assert row == [f"{scores[name]:.3f}" for name in library.job.metrics]
    assert shown(page)[1:] == [png(one.map) for one in ask.answers(library, study.photo(study.images[1]), Reading())]
    assert watched.serious() == []


def test_two_people_do_not_mix_and_a_reload_forgets(page, server, browser, library):
    first, second = encoded(drawn(seed=3)), encoded(drawn(seed=4))
    context = browser.new_context()
    other = Watched(context.new_page())
    other.page.goto(server[0])
    other.page.wait_for_selector("#gt-drop input[type=file]", state="attached")
    drop(page, dropped("first.png", first))
    drop(other.page, dropped("second.png", second))
    page.wait_for_selector(MAPS)
    other.page.wait_for_selector(MAPS)
    choose(page, "#gt-method", "Last layer")
    page.wait_for_selector("figcaption:has-text('Last layer')")
    assert shown(page) == expected(library, first, Reading("cls_attention"))
    assert shown(other.page) == expected(library, second)
    for one, name in ((page, "first.png"), (other.page, "second.png")):
        one.click("#gt-photo input")
        options = one.locator("#gt-photo").get_by_role("option")  # a list that was open before takes time to close
        options.first.wait_for()
        assert [text.lstrip("✓ ").strip() for text in options.all_inner_texts()] == [name]
    assert (other.errors, other.elsewhere) == ([], [])
    context.close()
    page.reload()
    page.wait_for_selector("#gt-drop input[type=file]", state="attached")
    assert page.locator(MAPS).count() == 0
    assert not page.locator("#gt-photo").is_visible()


def test_a_port_that_is_taken(monkeypatch, server, trained_run, capsys):
    port = urlsplit(server[0]).port
    assert gazetune(monkeypatch, "app", trained_run, "--port", port) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
    assert _listens_on(port) == {"0100007F"}  # of all addresses of this computer, 127.0.0.1 alone


def _listens_on(port):
    """The addresses, in hex, that a process here listens on at this port (Linux)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {p[1].split(":")[0] for p in lines if p[3] == "0A" and int(p[1].split(":")[1], 16) == port}


def test_a_folder_is_dropped(page, tmp_path, library):
    (tmp_path / "photos" / "inside").mkdir(parents=True)
    content = encoded(drawn(seed=20))
    (tmp_path / "photos" / "inside" / "scene.png").write_bytes(content)
    (tmp_path / "photos" / "notes.txt").write_text("passed over: the system knows it for text")
    box = page.locator("#gt-drop").bounding_box()
    carried = {"items": [], "files": [str(tmp_path / "photos")], "dragOperationsMask": 1}
    system = page.context.new_cdp_session(page)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for attempt in range(3):  # on a busy machine the page may not listen yet
        for step in ("dragEnter", "dragOver", "drop"):
            system.send("Input.dispatchDragEvent", {"type": step, "data": carried, **place})
        try:
            page.wait_for_selector(MAPS, timeout=20_000)
            break
        except NotInTime:
            assert attempt < 2, "the folder that was dropped never reached the page"
    assert shown(page) == expected(library, content)
    assert page.locator("#gt-said").inner_text().strip() == ""

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from PIL import Image

import salicon_world as world
from gazetune.data import fetch_salicon as fetching
from gazetune.data.fetch_salicon import fetch_salicon
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.errors import GazetuneError, InputError


def photo():
    buffer = io.BytesIO()
    Image.new("RGB", (world.WIDTH, world.HEIGHT), "grey").save(buffer, "jpeg")
    return buffer.getvalue()


def archive(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for split, numbers in (("train", [501]), ("val", [*range(1, 13)])):
            name = f"instances_{split}2014.json"
            world.write_instances(tmp_path / "made" / name, 0, [world.box(numbers[0])], numbers)
            zipped.write(tmp_path / "made" / name, f"annotations/{name}")
    return buffer.getvalue()


class Server(BaseHTTPRequestHandler):
    files, asked = {}, []

    def do_GET(self):
        type(self).asked.append(self.path)
        content = self.files.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


@pytest.fixture()
def coco(tmp_path, monkeypatch):
    """COCO's server, as far as it is needed; returns its address."""
    zipped = archive(tmp_path)
    monkeypatch.setattr(fetching, "ANNOTATIONS_MD5", hashlib.md5(zipped).hexdigest())
    photos = {f"/val2014/{name}": photo() for name in world.names(12)}
    Server.files, Server.asked = {"/annotations/annotations_trainval2014.zip": zipped, **photos}, []
    listening = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()


def test_says_what_is_missing_then_completes_it(coco, tmp_path, capsys):
    folder = tmp_path / "salicon"
    with pytest.raises(InputError, match="own files are not in"):
        fetch_salicon(folder, coco)
    said = capsys.readouterr().err
    assert "salicon.net" in said and "no licence is stated" in said and "Flickr" in said
    assert Server.asked == ["/annotations/annotations_trainval2014.zip"]
    world.write_json(folder / "fixations_val2014.json", world.gaze())
    assert "5,000 val images, all photos" in fetch_salicon(folder, coco)
    assert len(Server.asked) == 13 and not list(folder.glob(".*"))
    stimuli = load_salicon(folder, Salicon(edition=2015, gaze="samples"))
    assert len(stimuli) == 12 and stimuli.pixels(11).shape == (480, 640, 3) and len(stimuli[0].objects) == 1
    fetch_salicon(folder, coco)
    assert len(Server.asked) == 13  # nothing is fetched twice
    broken = folder / "images" / world.names(3)[2]
    broken.write_bytes(broken.read_bytes()[:500])
    fetch_salicon(folder, coco)
    assert Server.asked[13:] == [f"/val2014/{broken.name}"] and len(broken.read_bytes()) == len(photo())


def test_what_is_not_the_right_file_is_not_used(coco, tmp_path, monkeypatch):
    folder = tmp_path / "salicon"
    world.write_json(folder / "fixations_val2014.json", world.gaze())
    Server.files[f"/val2014/{world.names(1)[0]}"] = b"<html>gone</html>"
    with pytest.raises(GazetuneError, match="did not give a whole picture"):
        fetch_salicon(folder, coco)
    del Server.files[f"/val2014/{world.names(1)[0]}"]
    with pytest.raises(GazetuneError, match=r"000000000001\.jpg could not be downloaded \(HTTPError\)"):
        fetch_salicon(folder, coco)
    (folder / "annotations" / "instances_val2014.json").unlink()
    monkeypatch.setattr(fetching, "ANNOTATIONS_MD5", hashlib.md5(b"another").hexdigest())
    with pytest.raises(GazetuneError, match="not the expected one"):
        fetch_salicon(folder, coco)
    assert not (folder / "annotations" / "instances_val2014.json").exists()
    with pytest.raises(GazetuneError, match="Check the net"):
        fetch_salicon(tmp_path / "other", "http://127.0.0.1:9")


def test_archives_are_told_apart_by_their_md5(coco, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "salicon"
    folder.mkdir()
    (folder / "fixations.zip").write_bytes(b"mat files")
    monkeypatch.setitem(fetching.MAT_ARCHIVES, hashlib.md5(b"mat files").hexdigest(), 2017)
    (folder / "other.zip").write_bytes(b"?")
    with pytest.raises(InputError):
        fetch_salicon(folder, coco)
    said = capsys.readouterr().err
    assert "'fixations.zip' holds the .mat files of edition 2017" in said and "'other.zip' is no archive" in said
    instances = json.loads((folder / "annotations" / "instances_train2014.json").read_text())
    assert instances["images"][0]["id"] == 501

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gazetune.data import fetch
from gazetune.errors import GazetuneError, InputError

FILES = {"data/eye/fixations.mat": b"gaze" * 200_000, "data/stimuli/1.jpg": bytes(range(256)) * 3000}


def archive(files, extra=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in [*files.items(), *extra]:
            entry = tarfile.TarInfo(f"repo-commit/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Server(BaseHTTPRequestHandler):
    """Serves one archive, with byte ranges; breaks off after `cut` bytes where that is set."""

    content, cut, asked = b"", None, []

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        type(self).asked.append(start)
        self.send_response(206 if start else 200)
        body = self.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut] if self.cut else body)
        if self.cut:
            self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture()
def server(monkeypatch):
    monkeypatch.setattr(
        fetch, "manifest_of", lambda _: {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    )
    Server.content, Server.cut, Server.asked = archive(FILES, [("README.md", b"not wanted")]), None, []
    listening = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/archive.tar.gz"
    listening.shutdown()


def lying(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_fetches_checks_and_does_not_fetch_again(server, tmp_path):
    assert "every sha256 as expected" in fetch.fetch_dataset("osie", tmp_path, server)
    assert lying(tmp_path) == set(FILES)
    assert (tmp_path / "data/stimuli/1.jpg").read_bytes() == FILES["data/stimuli/1.jpg"]
    fetch.fetch_dataset("osie", tmp_path, server)
    assert Server.asked == [0]
    (tmp_path / "data/stimuli/1.jpg").write_bytes(b"changed")
    fetch.fetch_dataset("osie", tmp_path, server)
    assert (tmp_path / "data/stimuli/1.jpg").read_bytes() == FILES["data/stimuli/1.jpg"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    Server.cut = 900_000
    with pytest.raises(GazetuneError, match="goes on where it stopped"):
        fetch.fetch_dataset("osie", tmp_path, server)
    Server.cut = None
    fetch.fetch_dataset("osie", tmp_path, server)
    assert Server.asked[1] > 500_000
    assert lying(tmp_path) == set(FILES)


def test_a_file_that_is_not_the_expected_one_is_not_used(server, tmp_path):
    Server.content = archive({**FILES, "data/stimuli/1.jpg": b"something else"})
    with pytest.raises(GazetuneError, match=r"'data/stimuli/1\.jpg' in the archive is not the expected file"):
        fetch.fetch_dataset("osie", tmp_path, server)
    assert not (tmp_path / "data/stimuli/1.jpg").exists()


def test_a_missing_file_a_damaged_archive_and_no_network_are_named(server, tmp_path):
    Server.content = archive({"data/eye/fixations.mat": FILES["data/eye/fixations.mat"]})
    with pytest.raises(GazetuneError, match="1 files are missing from the archive"):
        fetch.fetch_dataset("osie", tmp_path, server)
    Server.content = b"<html>not found</html>"
    with pytest.raises(GazetuneError, match="damaged"):
        fetch.fetch_dataset("osie", tmp_path / "b", server)
    with pytest.raises(GazetuneError, match="Check the net"):
        fetch.fetch_dataset("osie", tmp_path / "c", "http://127.0.0.1:9/nothing.tar.gz")
    with pytest.raises(InputError, match="there is osie"):
        fetch.fetch_dataset("cat2000", tmp_path)


def test_the_manifest_is_that_of_the_real_files(osie_folder):
    wanted = fetch.manifest_of(fetch.SOURCES["osie"])
    assert len(wanted) == 701
    for path in ("data/eye/fixations.mat", "data/stimuli/1001.jpg", "data/stimuli/1700.jpg"):
        there = osie_folder / path.removeprefix("data/eye/").removeprefix("data/")
        assert hashlib.sha256(there.read_bytes()).hexdigest() == wanted[path]

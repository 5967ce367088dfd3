"""Archives that are damaged on their way: cut short, one bit changed, broken off, or spoilt while a half waits."""

import hashlib
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

from damage import cut, one_bit
from small_run import lane

from gazetune.data import fetch, fetch_salicon
from gazetune.errors import GazetuneError

DAMAGE = ("cut short", "one bit", "broken off", "broken off, then one bit of what was kept")
OUTCOME = "nothing of it used, or every sha256 as expected; the next download mends it"
FILES = {f"data/{name}": random.Random(name).randbytes(60_000) for name in ("eye/fixations.mat", "stimuli/1.jpg")}
INSTANCES = {f"annotations/{name}": random.Random(name).randbytes(60_000) for name in fetch_salicon.INSTANCES}


class _Server(BaseHTTPRequestHandler):
    """Serves one archive, with byte ranges; `most`: breaks off after so many bytes of an answer."""

    content: ClassVar[bytes] = b""
    most: ClassVar[int | None] = None

    def do_GET(self) -> None:
        """One archive, whatever is asked for."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        body = self.content[start:]
        self.send_response(416 if start and not body else 206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.most])
        if self.most is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _serving() -> Iterator[str]:
    listening = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def osie(where: Path, seed: int) -> tuple[str, str, str]:
    """The archive of OSIE's repository."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as packed:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"repository-commit/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    wanted = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    with patch.object(fetch, "manifest_of", lambda _: wanted):
        wrong = _damaged(
            where, seed, target.getvalue(), FILES, lambda folder, url: fetch.fetch_dataset("osie", folder, url)
        )
    return "damaged download of OSIE", OUTCOME, wrong


def salicon(where: Path, seed: int) -> tuple[str, str, str]:
    """COCO's archive of annotations."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        for name, content in INSTANCES.items():
            packed.writestr(name, content)
    good = target.getvalue()
    with patch.object(fetch_salicon, "ANNOTATIONS_MD5", hashlib.md5(good).hexdigest()):
        wrong = _damaged(where, seed, good, INSTANCES, fetch_salicon._annotations)
    return "damaged download of COCO's annotations", OUTCOME, wrong


def _damaged(where: Path, seed: int, good: bytes, files: dict[str, bytes], get: Callable[[Path, str], object]) -> str:
    """Get a damaged archive, then good ones; what is wrong, or nothing."""
    draw, place, kind = random.Random(seed), lane(where), DAMAGE[seed % len(DAMAGE)]
    _Server.content, _Server.most = good, None
    if kind in ("cut short", "one bit"):
        _Server.content = (cut if kind == "cut short" else one_bit)(good, draw)
    else:
        _Server.most = draw.randrange(1, len(good))
    with _serving() as url:
        for attempt in range(3):
            try:
                with redirect_stderr(io.StringIO()):
                    get(place, url)
                there = _lying(place)
                return "" if there == files else f"{kind}, attempt {attempt}: done, but holds {sorted(there)}"
            except GazetuneError as reason:
                said = str(reason)
            except Exception as reason:
                return f"{kind}, attempt {attempt}: {type(reason).__name__}: {str(reason)[:300]}"
            if any(files.get(name) != content for name, content in _lying(place).items()):
                return f"{kind}, attempt {attempt}: another file is there after '{said}'"
            part = place / ".download.part"
            if attempt == 0 and kind == DAMAGE[3] and part.is_file() and part.stat().st_size:
                part.write_bytes(one_bit(part.read_bytes(), draw))
            _Server.content, _Server.most = good, None
    return f"{kind}: three attempts were not enough: {said}"


def _lying(place: Path) -> dict[str, bytes]:
    """What a reader would find: every file but those kept to go on from."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }

"""Data sets from their public sources: a fixed commit, a licence, and nothing trusted before its hash fits."""

import errno
import gzip
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pooch
import requests

from gazetune.data.osie import CITATION as OSIE_CITATION
from gazetune.documents import short
from gazetune.errors import GazetuneError, InputError
from gazetune.files import not_written, sha256_file
from gazetune.progress import say, track

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30
MOST_BYTES, MOST_AT_ONCE = 4 << 30, 16 << 20  # of an archive; OSIE's has 200 MB
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Source:
    """An archive of a repository at a fixed commit, and the files wanted of it (sha256 and path, in `manifest`)."""

    url: str
    manifest: str
    licence: str
    citation: str


SOURCES: dict[str, Source] = {
    "osie": Source(
        url="https://github.com/NUS-VIP/predicting-human-gaze-beyond-pixels/archive/"
        "63223a0dba3b521861cb7f356ad13400ef4b3d03.tar.gz",
        manifest="osie.sha256",
        licence="MIT",
        citation=OSIE_CITATION,
    )
}


def manifest_of(source: Source) -> dict[str, str]:
    """Path within the repository -> sha256 of every file that belongs to the data set."""
    lines = (resources.files("gazetune") / "data" / source.manifest).read_text("utf-8").splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def fetch_dataset(name: str, folder: Path, url: str | None = None) -> str:
    """Download a data set into `folder` unless it is there already; returns what to do next, in words.

    The bytes of a generated archive are not stable, so the sha256 of every unpacked file is checked instead. A broken
    download goes on where it stopped (kept beside as `.part`) if the server can.

    Args:
        name: a key of SOURCES. folder: where its files will lie. url: another place to take the archive from.

    Raises:
        InputError: there is no such data set.
        GazetuneError: no connection, or a file that is missing from the archive or is not the expected one.
    """
    if name not in SOURCES:
        raise InputError(f"There is nothing to fetch called '{name}'; there is {', '.join(SOURCES)}, salicon.")
    source, folder = SOURCES[name], folder.expanduser()
    wanted = manifest_of(source)
    missing = _missing(folder, wanted)
    if missing:
        say(f"{name}: {len(missing)} of {len(wanted)} files to get. Licence: {source.licence}. Cite: {source.citation}")
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / f".{name}.tar.gz"
        try:
            pooch.get_logger().setLevel("WARNING")
            pooch.retrieve(url or source.url, None, archive.name, folder, downloader=resuming)
        except requests.RequestException as reason:
            raise GazetuneError(
                f"'{name}' could not be downloaded from {url or source.url} ({type(reason).__name__}). Check the net "
                f"and run the command again: it goes on where it stopped. Or put the files into '{folder}' yourself."
            ) from reason
        try:
            _unpack(archive, folder, missing, wanted)
        finally:
            archive.unlink()
    return f"{name}: {len(wanted)} files in '{folder}', every sha256 as expected. Use it with --data {folder}"


def _missing(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The files that are not there, or not as they should be."""
    return [p for p, digest in wanted.items() if not (folder / p).is_file() or sha256_file(folder / p) != digest]


def resuming(url: str, output_file: str | Path, _pooch: object) -> None:
    """Download to a `.part` file that outlives a broken connection, then copy it to where pooch wants it."""
    part = Path(output_file).parent / ".download.part"
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        if answer.status_code != 416:  # 416: there is nothing left to send
            answer.raise_for_status()
            goes_on = answer.status_code == 206
            total = (have if goes_on else 0) + int(answer.headers.get("Content-Length", 0))
            with part.open("ab" if goes_on else "wb") as opened:
                blocks = -(-total // CHUNK)
                for block in track(
                    answer.iter_content(CHUNK), "download (256 kB)", blocks, part.stat().st_size // CHUNK
                ):
                    opened.write(block)
    part.replace(output_file)


class Unpacked:
    """A gzip file to read what it packs, and no more of it at once or in all than an archive of data has.

    A tar's own headers may say that they are terabytes long, and would be read into memory whole.
    """

    def __init__(self, archive: Path) -> None:
        self._file = gzip.open(archive)  # noqa: SIM115

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes. Raises tarfile.ReadError for more than a header may have."""
        if not 0 <= n <= MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header of {n:,} bytes")
        return self._file.read(n)

    def seek(self, place: int) -> int:
        """Go to a place. Raises tarfile.ReadError for one beyond what an archive of data has."""
        if not 0 <= place <= MOST_BYTES:
            raise tarfile.ReadError(f"it unpacks to more than {MOST_BYTES:,} bytes")
        return self._file.seek(place)

    def tell(self) -> int:
        """The place."""
        return self._file.tell()


def _damaged(reason: Exception) -> GazetuneError:
    return GazetuneError(f"The downloaded archive is damaged ({short(reason)}) and was deleted. Run the command again.")


def _unpack(archive: Path, folder: Path, missing: list[str], wanted: dict[str, str]) -> None:
    """Take the missing files out of the archive, each checked before it is moved to its place."""
    left, unpacked_bytes = set(missing), 0
    try:
        with (
            Unpacked(archive) as plain,
            tarfile.TarFile(fileobj=plain) as opened,  # type: ignore[arg-type]
            tempfile.TemporaryDirectory(dir=folder) as unpacked,
        ):
            for member in opened:
                path = member.name.partition("/")[2]  # the first part names repository and commit
                if path not in left or not member.isreg() or member.issparse():
                    continue
                unpacked_bytes += member.size
                if unpacked_bytes > MOST_BYTES:
                    raise tarfile.ReadError(f"it unpacks to more than {MOST_BYTES:,} bytes")
                member.mtime = 0  # what it says may be no time at all
                opened.extract(member, unpacked, filter="data")
                found = Path(unpacked) / member.name
                if sha256_file(found) != wanted[path]:
                    raise GazetuneError(
                        f"'{path}' in the archive is not the expected file (its sha256 differs); not used."
                    )
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                found.replace(folder / path)
                left.discard(path)
    except GazetuneError:
        raise
    except OSError as reason:
        if reason.errno in NO_ROOM:
            raise not_written(folder, reason) from reason
        raise _damaged(reason) from reason
    except Exception as reason:  # a damaged archive makes tarfile and zlib raise errors of a dozen kinds
        raise _damaged(reason) from reason
    if left:
        raise GazetuneError(f"{len(left)} files are missing from the archive, the first is '{sorted(left)[0]}'.")

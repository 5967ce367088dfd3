"""SALICON piece by piece: COCO's part is downloaded, SALICON's own files are put in place by hand and looked at."""

import hashlib
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pooch
import requests

from gazetune.data.coco_json import images_of
from gazetune.data.fetch import TIMEOUT_SECONDS, resuming
from gazetune.data.images import decode_rgb
from gazetune.data.salicon import PLACES, SETTINGS, Form, gaze_files
from gazetune.documents import short
from gazetune.errors import GazetuneError, InputError
from gazetune.files import write_whole
from gazetune.progress import say, track

COCO = "http://images.cocodataset.org"
ANNOTATIONS = "annotations/annotations_trainval2014.zip"
# 252,872,794 bytes; the md5 that several loaders of COCO carry, and the ETag of its server; no sha256 is known
ANNOTATIONS_MD5 = "0a379cfc70b0e71301e0f377548639bd"
INSTANCES = ("instances_train2014.json", "instances_val2014.json")
# archives of the .mat files, as pysaliency 0.2.22 knows them (external_datasets/salicon.py)
MAT_ARCHIVES = {"9a22db9d718200fb90252e5010c004c4": 2015, "462b70f4f9e8ea446ac628e46cea8d3d": 2017}
IMAGES = {"train": 10_000, "val": 5_000}
AT_ONCE = 8
MOST_BYTES = 1 << 30  # of one of its files; the larger has 333 MB
PHOTO = re.compile(r"COCO_(train|val)2014_\d{12}\.jpg")
OTHER_FORMS: tuple[Form, ...] = ("mat", "points")
WHERE = """SALICON (Jiang et al., CVPR 2015) is offered at http://salicon.net/download (the JSON of 2015:
fixations_train2014.json, 818 MB, and fixations_val2014.json, 459 MB) and http://salicon.net/challenge-2017 (.mat files,
fixation pictures, maps); no licence is stated: research use, not to be passed on. Its files lie on a cloud drive that
wants a browser. Photos and objects are COCO's: annotations CC BY 4.0, each photo under its own Flickr licence, several
of them non-commercial.
Put into '{folder}': fixations_*2014.json; or the .mat files, in fixations/train and fixations/val; or the pictures, in
fixation_points/. Edition and gaze are named in '{settings}' there, for example `edition: 2015` and `gaze: samples`."""


def fetch_salicon(folder: Path, url: str = COCO) -> str:
    """Say what SALICON consists of, download COCO's part into `folder` and look through what was put there by hand.

    Downloaded are COCO's annotations of 2014 (241 MB, md5 checked) and, once SALICON's files say which, the photos, one
    by one (15,000, 2.4 GB; no hash of them is known, so each must be a whole picture of its size). What is there
    already is not fetched again.

    Args:
        folder: where everything lies. url: another place to take COCO's files from.

    Returns what there is, in words.

    Raises:
        InputError: SALICON's own files are not there yet. GazetuneError: a download failed or is not the right file.
    """
    folder = folder.expanduser()
    say(WHERE.format(folder=folder, settings=SETTINGS))
    folder.mkdir(parents=True, exist_ok=True)
    _annotations(folder, url)
    for archive in sorted(folder.glob("*.zip")):
        say(_archive(archive))
    wanted = _wanted(folder)
    if not wanted:
        raise InputError(
            f"SALICON's own files are not in '{folder}' yet (see above). Put them there and run this again."
        )
    _photos(folder, wanted, url)
    counts = {split: sum(f"_{split}2014_" in name for name in wanted) for split in IMAGES}
    parts = ", ".join(f"{n:,} of {IMAGES[split]:,} {split} images" for split, n in counts.items())
    return f"salicon: gaze for {parts}, all photos, COCO's objects, in '{folder}'. Use it with --data salicon={folder}"


def _annotations(folder: Path, url: str) -> None:
    """COCO's annotations of instances, out of the archive of 2014."""
    place = folder / "annotations"
    if all((place / name).is_file() or (folder / name).is_file() for name in INSTANCES):
        return
    say(f"salicon: getting {url}/{ANNOTATIONS} (253 MB)")
    try:
        pooch.get_logger().setLevel("WARNING")
        known = f"md5:{ANNOTATIONS_MD5}"
        got = pooch.retrieve(f"{url}/{ANNOTATIONS}", known, ".annotations.zip", folder, downloader=resuming)
        _take_instances(Path(got), place)
    except requests.RequestException as reason:
        raise _failed(f"{url}/{ANNOTATIONS}", reason) from reason
    except ValueError as reason:  # pooch's, for another hash
        raise GazetuneError(
            f"The archive of COCO's annotations is not the expected one ({reason}); not used."
        ) from None
    Path(got).unlink()


def _take_instances(archive: Path, place: Path) -> None:
    """The two files of objects out of COCO's archive. Raises GazetuneError where it does not hold them whole."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in INSTANCES:
                member = opened.getinfo(f"annotations/{name}")
                if member.file_size > MOST_BYTES:
                    raise ValueError(f"'{name}' has {member.file_size:,} bytes")
                write_whole(place / name, opened.read(member))
    except GazetuneError:
        raise
    except Exception as reason:  # a damaged archive makes zipfile and zlib raise errors of a dozen kinds
        raise GazetuneError(
            f"The archive of COCO's annotations is not the expected one ({short(reason)}); not used."
        ) from None


def _archive(path: Path) -> str:
    """Which archive of .mat files this is, by its md5."""
    with path.open("rb") as opened:
        edition = MAT_ARCHIVES.get(hashlib.file_digest(opened, "md5").hexdigest())
    if edition is None:
        return f"'{path.name}' is no archive that is known here: what is in it cannot be verified."
    return f"'{path.name}' holds the .mat files of edition {edition}. Unpack it into '{path.parent / 'fixations'}'."


def _wanted(folder: Path) -> list[str]:
    """The photos that SALICON's files in the folder speak of."""
    names = {str(image["file_name"]) for path in gaze_files(folder, "json") for image in images_of(path)}
    names |= {f"{path.stem}.jpg" for form in OTHER_FORMS for path in gaze_files(folder, form)}
    wrong = sorted(name for name in names if not PHOTO.fullmatch(name))
    if wrong:  # they are asked of the server, and written
        raise InputError(
            f"SALICON's files in '{folder}' speak of a photo '{short(wrong[0])}', not named as COCO's are, for example "
            f"COCO_val2014_000000000042.jpg. Get them again."
        )
    return sorted(names)


def _photos(folder: Path, wanted: list[str], url: str) -> None:
    """The photos that are not there yet, or are not whole."""
    places = [folder / place for place in PLACES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        whole = pool.map(lambda name: any(_is_whole(place / name) for place in places), wanted)
        missing = [name for name, there in zip(wanted, whole, strict=True) if not there]
        got = pool.map(lambda name: _photo(folder / "images", name, url), missing)
        for _ in track(got, "photos", total=len(missing)):
            pass


def _photo(place: Path, name: str, url: str) -> None:
    source = f"{url}/{name.split('_')[1]}/{name}"
    try:
        answer = requests.get(source, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as reason:
        raise _failed(source, reason) from reason
    if not _is_picture(answer.content):
        raise GazetuneError(
            f"{source} did not give a whole picture. Run the command again: it goes on where it stopped."
        )
    write_whole(place / name, answer.content)


def _is_whole(path: Path) -> bool:
    return path.is_file() and _is_picture(path.read_bytes())


def _is_picture(content: bytes) -> bool:
    try:
        decode_rgb(content, "photo")
    except InputError:
        return False
    return True


def _failed(source: str, reason: Exception) -> GazetuneError:
    return GazetuneError(
        f"{source} could not be downloaded ({type(reason).__name__}). Check the net and run the command again: it goes "
        f"on where it stopped. Or put the file into its place yourself."
    )

"""What does not come along: the photos of frost, read out of an installed `imagecorruptions`, and OpenCV."""

import hashlib
from functools import lru_cache
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gazetune.errors import InputError

Photo = UInt8[np.ndarray, "frost_height frost_width 3"]

PACKAGE = "imagecorruptions"
# file -> sha256, of version 1.1.2 (Apache License 2.0); it has a sixth photo, which its random choice never takes
PHOTOS = {
    "frost1.png": "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
    "frost2.png": "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
    "frost3.png": "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
    "frost4.jpg": "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
    "frost5.jpg": "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
}
LARGER = 1.1  # than the picture, at least, so that there is something to choose from


def not_run(name: str) -> str | None:
    """Why a corruption cannot be made on this machine, or None where it can."""
    try:
        if name in ("frost", "spatter"):
            opencv()
        if name == "frost":
            for photo in PHOTOS:
                frost_photo(photo)
    except InputError as reason:
        return str(reason)
    return None


@lru_cache(maxsize=1)
def opencv() -> ModuleType:
    """OpenCV. Raises InputError where it is not installed or does not load."""
    try:
        return import_module("cv2")
    except ImportError as reason:
        raise InputError(
            f"frost and spatter need OpenCV, which cannot be imported ({reason}). pip install 'gazetune[corruptions]'; "
            f"where libGL is missing, pip install --force-reinstall opencv-python-headless."
        ) from None


@lru_cache(maxsize=len(PHOTOS))
def frost_photo(name: str) -> Photo:
    """A photo of frost in RGB. Raises InputError where the package is missing or the file is another one."""
    try:
        files = metadata.files(PACKAGE) or []
        path = next(file.locate() for file in files if file.match(f"{PACKAGE}/frost/{name}"))
        content = Path(str(path)).read_bytes()
    except (metadata.PackageNotFoundError, StopIteration, OSError):
        raise InputError(
            f"frost needs the photo '{name}' of the package {PACKAGE} 1.1.2, which is not installed. "
            f"pip install 'gazetune[corruptions]', or only the photos: pip install --no-deps {PACKAGE}==1.1.2"
        ) from None
    if hashlib.sha256(content).hexdigest() != PHOTOS[name]:
        raise InputError(
            f"frost needs the photo '{name}' of {PACKAGE} 1.1.2, but the file that is installed is another one (its "
            f"sha256 differs). pip install --force-reinstall --no-deps {PACKAGE}==1.1.2"
        )
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def frost_layer(number: int, height: int, width: int) -> Photo:
    """Photo 0 to 4, enlarged 1.1 times, or more where it is smaller than height x width, by OpenCV's cubic filter."""
    rows, columns, _ = frost_photo(list(PHOTOS)[number]).shape
    return _enlarged(number, max(1, height / rows, width / columns) * LARGER)


@lru_cache(maxsize=16)
def _enlarged(number: int, factor: float) -> Photo:
    photo, cv2 = frost_photo(list(PHOTOS)[number]), opencv()
    size = tuple(int(np.ceil(n * factor)) for n in (photo.shape[1], photo.shape[0]))
    return cv2.resize(photo, dsize=size, interpolation=cv2.INTER_CUBIC)

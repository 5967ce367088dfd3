"""Whose photos are whose: each open page has its own, in memory, until it is closed."""

import threading
from collections import OrderedDict

from gazetune.app.photos import Photo

PHOTOS = 50  # of one page
PAGES = 50  # at a time; beyond it the page longest without a photo loses its photos


class Sessions:
    """The photos of every open page, by the page's own random name; safe to use from several threads."""

    def __init__(self) -> None:
        self._photos: OrderedDict[str, dict[str, Photo]] = OrderedDict()
        self._lock = threading.Lock()
        self._number = 0

    def add(self, page: str, photo: Photo) -> str | None:
        """Keep a photo for a page; returns the name it is kept under, None where the page has as many as it may."""
        with self._lock:
            mine = self._photos.setdefault(page, {})
            if len(mine) >= PHOTOS:
                return None
            self._number += 1
            token = f"photo-{self._number}"
            mine[token] = photo
            self._photos.move_to_end(page)
            while len(self._photos) > PAGES:
                self._photos.popitem(last=False)
            return token

    def photos(self, page: str) -> dict[str, Photo]:
        """The photos of a page by the names they are kept under, in the order they came."""
        with self._lock:
            return dict(self._photos.get(page, {}))

    def forget(self, page: str) -> None:
        """Let go of a page's photos."""
        with self._lock:
            self._photos.pop(page, None)

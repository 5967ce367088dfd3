"""A page in a real browser that remembers what no page of ours may do: errors, and requests to other hosts."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

HERE = {"file", "data", "blob", "about"}  # schemes that reach no host
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def chromium() -> str | None:
    """Where Chromium is: CHROMIUM, or on the PATH (Debian's package chromium); None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def started() -> Iterator[Browser]:
    """Headless Chromium, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, its errors (console and uncaught) and the addresses it asked other hosts for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in HERE and parts.hostname not in LOOPBACK:
            self.elsewhere.append(address)

    def serious(self) -> list[str]:
        """What axe-core calls serious or critical on the page as it stands, one line a rule with its first place."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{v['id']}: {v['help']} ({len(v['nodes'])}): {v['nodes'][0]['html']}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]

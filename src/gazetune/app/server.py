"""`gazetune app RUN`: the server, on this computer alone unless told otherwise, until Ctrl-C."""

import os
import socket
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

from gazetune.app.live import open_run
from gazetune.app.photos import MEGABYTES
from gazetune.code import allow
from gazetune.commands.settings import of_run
from gazetune.errors import InputError, Interrupted
from gazetune.job import pick_device
from gazetune.progress import say
from gazetune.run import Run

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXTRA = "The live page needs an extra package: pip install 'gazetune[app]'"
# read by Gradio when it is imported or launched: nothing is sent, opened or remembered elsewhere
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_SHARE": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "GRADIO_ROOT_PATH": "",
}


def serve(
    path: Path, host: str = "127.0.0.1", port: int = 7860, device: str = "auto", allow_code: bool = False
) -> None:
    """Show the live page of a run until interrupted. What is dropped in is deleted from disk as soon as it is read.

    host: another address than loopback opens the page to others, which is said. port: 0 takes a free one. Raises
    InputError: the extra is missing, the port is taken, no run, or no model of it can answer.
    """
    if find_spec("gradio") is None:
        raise InputError(EXTRA)
    experiment = of_run(Run(path))
    port = free_port(host, port)
    allow(allow_code)
    live = open_run(path, experiment, pick_device(device), allow_code)
    if host not in LOOPBACK:
        say(
            f"warning: --host {host} opens the page to everyone who can reach this computer: no password, no "
            f"encryption, and the run's test images can be seen."
        )
    with tempfile.TemporaryDirectory(prefix="gazetune-app-") as uploads:
        os.environ |= QUIET | {"GRADIO_TEMP_DIR": uploads}
        for name in ("NO_PROXY", "no_proxy"):  # Gradio asks its own address whether it is up
            os.environ[name] = ",".join([*filter(None, [os.environ.get(name)]), *LOOPBACK])
        from gazetune.app.page import build, look  # after the environment, which Gradio reads on import

        page = build(live, Path(uploads))
        try:
            page.launch(
                server_name=_shown(host), server_port=port, share=False, quiet=True, prevent_thread_lock=True,
                max_file_size=f"{MEGABYTES}mb", inbrowser=False, show_error=False, footer_links=[], run_history=False,
                enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False, app_kwargs=_only(host), **look(),
            )  # fmt: skip
            say(f"{len(live.asked)} models of '{path}' are waiting at http://{_shown(host)}:{port} (Ctrl-C ends)")
            threading.Event().wait()
        except Interrupted:
            say("Closed. No photo was kept.")
        finally:
            page.close(verbose=False)


def free_port(host: str, port: int) -> int:
    """The port, if it can be had at this address; for 0 a free one. Raises InputError."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            return tried.getsockname()[1]
    except (OSError, OverflowError) as reason:
        raise InputError(
            f"The page cannot be opened at {host}:{port} ({reason}). Choose another --port, or 0 for a free one."
        ) from None


def _only(host: str) -> dict[str, object]:
    """Answer on loopback only who asks for it by that name: a page elsewhere whose name leads here is sent away."""
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    if host not in LOOPBACK:
        return {}
    return {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])]}


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host

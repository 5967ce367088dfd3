"""What a result was made with: versions, commit, machine, and the hashes that tell whether an input changed."""

import hashlib
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from gazetune import processes

PACKAGES = ("torch", "transformers", "numpy", "scipy", "pandas", "pillow", "matplotlib")


def fingerprint(value: Any) -> str:
    """A sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def environment(device: torch.device) -> dict[str, Any]:
    """The versions and the machine of this process."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "gazetune": version("gazetune"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": device.type,
        "processes": processes.launched(),
        "host": {
            "system": platform.platform(),
            "device": kind,
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _commit() -> str | None:
    """The commit of the source this was installed from, where it is a git checkout; `+` marks local changes."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "."], capture_output=True, text=True, check=True
        ).stdout
        tracked = subprocess.run([*git, "ls-files", "run.py"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "") if tracked else None

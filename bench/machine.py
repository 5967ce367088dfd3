"""What a measurement was made on: processor, memory and versions; no host name and no path."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from gazetune.provenance import environment

Fact = str | int | float | None


def machine() -> dict[str, Fact]:
    """Processor, cores, threads of torch, memory, system, versions, CUDA device or None, date, package and commit."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    known = environment(torch.device("cpu"))
    return {
        "processor": _processor(),
        "vectors": _vectors(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": _system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": cuda,
        "date": datetime.now(UTC).date().isoformat(),
        "gazetune": known["gazetune"],
        "commit": known["commit"],
    }


def sentence(facts: dict[str, Fact]) -> str:
    """The machine in one line."""
    commit = f", commit {facts['commit']}" if facts["commit"] else ""
    return (
        f"{facts['processor']} ({facts['vectors']}), {facts['cores']} cores, threads: {facts['threads']}, "
        f"{facts['memory_gb']} GB of memory; {facts['system']}, Python {facts['python']}, torch {facts['torch']}, "
        f"numpy {facts['numpy']}; CUDA device: {facts['cuda'] or 'none'}; "
        f"gazetune {facts['gazetune']}{commit}; {facts['date']}"
    )


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _vectors() -> str:
    """What torch's kernels use, and whether the processor multiplies bfloat16 itself."""
    native = [name for name in ("avx512_bf16", "amx_bf16", "bf16") if re.search(rf"\b{name}\b", _cpuinfo())]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *native])


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.machine()}"
    except OSError:
        return f"{platform.system()} {platform.machine()}"

"""A module imports only from rooms above it."""

import ast
from pathlib import Path

import gazetune

# the rooms from top to bottom, as in docs/LOG.md; a module may use its own room and those above
ROOMS = (
    "errors", "text_columns", "documents", "processes", "files", "code", "folder", "progress", "run", "provenance",
    "trackers", "statistics",
    "data", "maps", "observers", "priors", "prepared", "backbones",
    "attention", "metrics", "biases", "training", "parity", "faithfulness", "tables", "figures", "report",
    "experiment", "loading", "estimate", "plan", "job", "explained", "beside", "tracking", "tuning",
    "heads", "classify", "methods", "pipeline", "export", "comparison",
    "commands", "app", "cli", "__main__",
)  # fmt: skip
SOURCE = Path(gazetune.__file__).parent


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path):
    """The rooms of gazetune that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gazetune"):
            if node.module == "gazetune":
                yield from (alias.name for alias in node.names)
            else:
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gazetune."))


def test_imports_go_up_only():
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path == SOURCE / "__init__.py":
            continue
        here = room_of(path)
        assert here in ROOMS, f"{path.name} lies in no known room"
        wrong += [f"{here} imports {there}" for there in imported(path) if ROOMS.index(there) > ROOMS.index(here)]
    assert not wrong


def test_the_walk_sees_imports():
    found = set(imported(SOURCE / "pipeline.py"))
    assert {"tuning", "tables", "run", "report"} <= found

"""report.html: one self-contained file with the answer, the methods, every table and every figure."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from gazetune.metrics import Metric
from gazetune.progress import say
from gazetune.report.answer import Asked, answer
from gazetune.report.explorer import EXPLORER
from gazetune.report.left_out import unfinished
from gazetune.report.methods_text import Done, methods_paragraphs
from gazetune.report.pictures import fitted, pictures
from gazetune.report.references import cited
from gazetune.report.sections import Section, Text, Verbatim, sections
from gazetune.report.words import IN_BRACKETS, Shown
from gazetune.run import CONFIG, PROVENANCE, Run

MOST_BYTES = 15_000_000  # of the page
FILES = ("images.csv", "tests.csv", "parity.csv", "summary.json", CONFIG)  # named at the top, where they are there
SIMULATED = "A generated world with simulated observers: no person took part, and 'people' below are those observers."


def write_report(
    run: Run,
    main: str | None,
    settings: Mapping[str, Any],
    roles: Mapping[str, str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
) -> list[str]:
    """Write report.html from the run's summary, tests and figures. Names are escaped: they appear as text.

    The page is at most MOST_BYTES long: figures are scaled down for it, which the page and stderr say.

    Args:
        main: the data set that the answer is about; None where images were only classified.
        settings: of the experiment, as plain values. roles, labels: of each model, by key (see Experiment).
    """
    summary, provenance = run.json("summary.json"), run.json(PROVENANCE)
    asked, done = Asked(summary, roles, labels, metrics), Done(run, settings, summary, labels)
    made = Section("Made with", _made_with(run, provenance))
    page: dict[str, Any] = {
        "title": f"gazetune: {summary['experiment']}",
        "answer": answer(asked, main),
        "brackets": IN_BRACKETS,
        "notes": [SIMULATED] if (settings.get("data") or {}).get("kind") == "synthetic" else [],
        "unfinished": unfinished(run, settings, summary, list(roles)),
        "explorer": EXPLORER if run.file(EXPLORER).is_file() else None,
        "files": [name for name in FILES if run.file(name).is_file()],
        "sections": [*sections(asked, done), made, Section("References", _references(done))],
    }
    shown = pictures(run)
    text = len(_render({**page, "figures": shown, "scaled": [], "embedded": False}).encode())
    kept, scaled = fitted(shown, MOST_BYTES - text - 500 * (len(shown) + 1))  # and room to say what was scaled
    for note in scaled:
        say(f"report.html is to be at most {MOST_BYTES // 10**6} MB: {note}")
    whole = _render({**page, "figures": kept, "scaled": scaled, "embedded": True})
    if len(whole.encode()) > MOST_BYTES:
        say(f"warning: report.html is longer than {MOST_BYTES // 10**6} MB by its tables alone")
    return [run.write("report.html", whole)]


def _render(page: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (resources.files("gazetune") / "report" / "template.html").read_text("utf-8")
    return environment.from_string(template).render(page)


def _made_with(run: Run, provenance: Mapping[str, Any]) -> list[Text | Verbatim | Shown]:
    """The command to repeat the run, versions, machine, the data's fingerprints, and the settings in full."""
    host, stages = provenance["host"], provenance["stages"]
    commit = str(provenance["commit"] or "unknown")
    rows = [("gazetune", provenance["gazetune"]), ("commit", commit.removesuffix("+") + _changed(commit))]
    rows += [("Python", provenance["python"]), *provenance["packages"].items()]
    rows += [("system", host["system"]), ("device", f"{provenance['device']} ({host['device']})")]
    rows += [
        (f"data {name.removeprefix('fixations/')}, fingerprint", str(stage["inputs"]["data"]))
        for name, stage in stages.items()
        if name.startswith("fixations/")
    ]
    return [
        Text("", "The command that made this run; it makes it again, in a new folder (--output):"),
        Verbatim(provenance["command"]),
        Shown("Versions and machine; sha256 of every file: provenance.json.", ("what", ""), rows, PROVENANCE),
        Verbatim(run.file(CONFIG).read_text("utf-8"), f"All settings ({CONFIG})"),
    ]


def _changed(commit: str) -> str:
    return " with local changes" if commit.endswith("+") else ""


def _references(done: Done) -> list[Text]:
    about = (*done.summary["datasets"].values(), *done.summary.get("classified", {}).values())
    said = " ".join(text for _, text in methods_paragraphs(done))
    return [Text(work) for work in cited(said, [a["citation"] for a in about if a["citation"]])]

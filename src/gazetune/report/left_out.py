"""Who and what a run left out, with counts; and what it has not done yet."""

from collections.abc import Iterator, Mapping
from typing import Any

from gazetune.report.words import Shown, row_name
from gazetune.run import Run

Summary = Mapping[str, Any]
Labels = Mapping[str, str]
Cells = tuple[str, ...]
HEAD = ("data", "left out", "why", "n")
NAMED = 300  # images that are named on the page; summary.json has all


def exclusions(summary: Summary, labels: Labels) -> list[Shown]:
    """One row for each reason to leave something out, with its count; then the images by name, as far as they fit."""
    rows = [
        *_of_data(summary, labels),
        *_of_scores(summary, labels),
        *_of_biases(summary),
        *_of_classes(summary, labels),
    ]
    tables = [Shown("Everything that was left out, and why.", HEAD, rows, "summary.json")] if rows else []
    for name, about in summary["datasets"].items():
        reasons = [(str(r["image"]), str(r["split"] or ""), str(r["reason"])) for r in about["reasons"]]
        if reasons:
            first = f", of which {NAMED} are shown" if len(reasons) > NAMED else ""
            title = f"{name}: images left out, or without a value somewhere ({len(reasons)}{first})"
            tables.append(Shown(title, ("image", "part", "reason"), reasons[:NAMED], "summary.json", folded=True))
    return tables


def _of_data(summary: Summary, labels: Labels) -> Iterator[Cells]:
    for name, about in summary["datasets"].items():
        for why, n in about["images_with_a_reason"].items():
            yield name, "images", why, f"{n:,}"
        if about["fixations_outside_their_image"]:
            yield name, "fixations", "outside their image", f"{about['fixations_outside_their_image']:,}"
        for why, n in about["records_left_out"].items():
            yield name, "records of the files", why, f"{n:,}"
        for key, maps in about["maps"].items():
            if maps["reasons"]:
                yield name, f"maps of {row_name(key, labels)}", "no usable map", f"{len(maps['reasons']):,}"


def _of_scores(summary: Summary, labels: Labels) -> Iterator[Cells]:
    for row in summary.get("reasons", []):
        yield row["dataset"], f"scores of {row_name(row['model'], labels)}", row["reason"], f"{row['n']:,}"
    for row in summary.get("consistency", []):
        if row.get("fewer_than_two_observers"):
            n = row["fewer_than_two_observers"]
            yield row["dataset"], "images, from consistency", "fewer than two observers", f"{n:,}"
    for row in summary.get("at_ceiling", []):
        if row["at_ceiling"]:
            pair = " - ".join(row_name(row[side], labels) for side in ("first", "second"))
            yield row["dataset"], f"images, from normalised gain {pair}", "CC above .99", f"{row['at_ceiling']:,}"


def _of_biases(summary: Summary) -> Iterator[Cells]:
    for row in summary.get("exclusions", []):
        if row["step"] and row["left_out"]:
            what = f"{row['unit']}, from {row['analysis'].replace('_', ' ')}"
            yield row["dataset"], what, str(row["reason"] or ""), f"{row['left_out']:,}"


def _of_classes(summary: Summary, labels: Labels) -> Iterator[Cells]:
    for name, about in summary.get("classified", {}).items():
        why: dict[str, int] = {}
        for reason in about["missing"].values():
            why[reason] = why.get(reason, 0) + 1
        what = "predictions" if about["corruptions"] else "images"
        yield from ((name, f"labelled {what}", reason, f"{n:,}") for reason, n in why.items())
    for row in summary.get("parity_not_run") or []:
        yield row["dataset"], f"classification by {row_name(row['model'], labels)}", row["reason"], "all"
    for row in summary.get("parity") or []:
        if row.get("unpaired"):
            pair = " - ".join(row_name(row[side], labels) for side in ("first", "second"))
            yield row["dataset"], f"predictions, from {pair}", "without a partner", f"{row['unpaired']:,}"


def unfinished(run: Run, settings: Mapping[str, Any], summary: Summary, keys: list[str]) -> list[str]:
    """What the settings ask for and the run has not, in words; and files that its stages wrote and that are gone.

    keys: of the models. Decoded photos and teacher states (`cache/`) may be deleted and are not asked for.
    """
    stages, models = run.stages(), settings["models"]
    main = (settings.get("data") or {}).get("kind")
    sets = [name for name, given in (settings.get("parity") or {}).items() if given.get("path")]
    asked = [f"train/{key}" for key in keys if key not in models and models[key.rpartition("-s")[0]]["train"]]
    for name in [*([main] if main else []), *(settings.get("score_on") or {})]:
        asked += [f"fixations/{name}", *(f"attention/{name}/{key}" for key in keys), f"score/{name}"]
        asked += [f"methods/{name}"] if settings.get("methods") else []
    asked += [f"parity/{name}" for name in sets]
    missing = [f"not done: {stage}" for stage in asked if stage not in stages]
    scored = [s.removeprefix("score/") for s in stages if s.startswith("score/")]
    old = [f"scored with other models or settings, and left out: {n}" for n in scored if n not in summary["datasets"]]
    written = [file for name, stage in stages.items() if name != "report" for file in stage["outputs"]]
    gone = sorted(f for f in set(written) if not f.startswith("cache/") and not run.file(f).is_file())
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    return [*missing, *old, *([f"files that are gone: {', '.join(gone[:3])}{more}"] if gone else [])]

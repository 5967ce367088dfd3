"""The page as data: sections of headings, texts, tables and pictures, which the template only has to set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from gazetune.report.alignment import alignment_table, tests_table, training_table
from gazetune.report.answer import Asked
from gazetune.report.biases import bias_tables
from gazetune.report.found import Subject
from gazetune.report.gain import REGRESSION, category_rows, quartile_rows, rises, seed_rows
from gazetune.report.left_out import exclusions
from gazetune.report.methods import method_table
from gazetune.report.methods_text import Done, methods_paragraphs
from gazetune.report.parity import classified, left_out, not_run, parity_tables, preprocessing
from gazetune.report.people import people_tables
from gazetune.report.reproduce import about, beside, compact, counts, in_other_ways
from gazetune.report.words import Shown, accuracy_lines
from gazetune.tables.changes import read_changes

Changes = Mapping[str, pd.DataFrame]
BIASES = (
    "Attention density: share of the map on a region, divided by its pixels, times 10,000 (a flat map: 0.199). Paired "
    "t over images; d = mean difference / SD of differences. The centre prior has contrasts too, because objects of "
    "different kinds lie in different places: hence the columns over the prior."
)
METHODS = (
    "The same models and images by several attention methods: mean over images with its 95 % bootstrap interval. "
    "Deletion and insertion: area under the model's answers while the map's most important patches are taken out, or "
    "put back into a blurred image; below and above random: against a random order, image by image. What each method "
    "is: docs/attention.md; tests between models: method_tests.csv."
)
QUARTERS = (
    "Images in quarters by the consistency of their observers (mean pairwise CC): mean [95 % t interval]. Normalised "
    "gain: share of the headroom 1 - CC."
)
CATEGORIES = (
    "Gain in CC by category of objects: mean [95 % t interval] over the images that hold the category; an image counts "
    "in each of its categories."
)
SEEDS = (
    "Mean of the seeds' means over the same images. SD between seeds: of these means. SD between images: of each "
    "image's mean over seeds. Differences are taken image by image, within the seed."
)
SEED_HEAD = (
    "metric", "model", "seeds", "images", "mean", "SD between seeds", "SD between images", "lowest to highest seed",
)  # fmt: skip


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, which may begin with a few words that stand out."""

    kind: ClassVar[str] = "text"
    text: str
    lead: str = ""


@dataclass(frozen=True)
class Verbatim:
    """Text as it stands: a command, a file. title: where it is folded, what it is."""

    kind: ClassVar[str] = "verbatim"
    text: str
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and an address of its own."""

    title: str
    parts: Sequence[Heading | Text | Verbatim | Shown]


def sections(asked: Asked, done: Done) -> list[Section]:
    """Every section between the figures and what the run was made with, those with anything to say."""
    summary, labels = asked.summary, asked.labels
    methods = [Text(text, lead) for lead, text in methods_paragraphs(done)]
    lost = exclusions(summary, labels)
    found = [Section("Methods", methods), Section("Exclusions", lost or [Text("Nothing was left out.")])]
    for name in summary["datasets"]:
        found.append(Section(f"Alignment with human fixations: {name}", list(_alignment(asked, name))))
        biases = bias_tables(summary, name, labels)
        if biases:
            found.append(Section(f"Biases: {name}", [Text(BIASES), *biases]))
    if classified(summary):
        changes = read_changes(done.run) if summary.get("parity") else {}
        found.append(Section("Classification", list(_classification(summary, labels, changes))))
    if summary["training"]:
        courses = [Text(line) for line in accuracy_lines(summary, labels)]
        found.append(Section("Training", [training_table(summary, labels), *courses]))
    return [*found, Section("The paper beside this run", _paper(asked, done))]


def _alignment(asked: Asked, name: str) -> Iterator[Heading | Text | Shown]:
    summary, labels, metrics = asked.summary, asked.labels, asked.metrics
    stopped_on = summary["datasets"][name].get("tested_and_stopped_on", 0)
    if stopped_on:
        yield Text(
            f"Training was stopped by the loss on {stopped_on} of the test images, so weights were chosen on images "
            f"that they are tested on, and tuned models may score a little too well.",
            "Protocol of the paper.",
        )
    yield from (Text(_ready(labels.get(k, k), ready)) for k, ready in summary["datasets"][name]["maps"].items())
    yield alignment_table(summary, name, labels, metrics)
    yield from _gains(asked, name)
    seeds = seed_rows(summary, name, metrics)
    if seeds:
        yield Heading("Between seeds")
        yield Shown(SEEDS, SEED_HEAD, _cells(seeds), "seeds.csv")
    head, lines = method_table(summary, name, labels)
    if lines:
        yield Heading("By other attention methods")
        yield Shown(METHODS, tuple(head), _cells(lines), "methods.csv")
    yield Heading("Paired tests")
    yield tests_table(summary, name, asked.roles, labels, metrics)
    for title, tables in people_tables(summary, name, labels, metrics).items():
        yield Heading(title)
        yield from tables


def _ready(label: str, ready: Mapping[str, Any]) -> str:
    """What was done to a folder of ready-made maps, in words."""
    sizes = ", ".join(f"{n} of {size}" for size, n in ready["sizes"].items())
    without = f" {len(ready['reasons'])} images have no usable map." if ready["reasons"] else ""
    return f"{label}: ready-made maps, {sizes}.{without}"


def _gains(asked: Asked, name: str) -> Iterator[Heading | Text | Shown]:
    """Where alignment rose: in words, by quarters of consistency, by category."""
    sentences = rises(asked.summary, name, asked.labels)
    if not sentences:
        return
    yield Heading("Where did alignment rise?")
    yield from (Text(sentence) for sentence in sentences)
    yield Text(REGRESSION)
    quarters = quartile_rows(asked.summary, name, asked.labels)
    if quarters:
        yield Shown(QUARTERS, ("", "1 (least)", "2", "3", "4 (most)"), _cells(quarters), "quartiles.csv")
    categories = category_rows(asked.summary, name, asked.labels)
    if categories:
        yield Shown(CATEGORIES, tuple(categories[0]), _cells(categories[1:]), "categories.csv", folded=True)


def _cells(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return [tuple(row) for row in rows]


def _classification(
    summary: Mapping[str, Any], labels: Mapping[str, str], changes: Changes
) -> Iterator[Heading | Text | Shown]:
    for name in classified(summary):
        yield Heading(name)
        lines = [*preprocessing(summary, name, labels), *left_out(summary, name), *not_run(summary, name, labels)]
        yield from (Text(line) for line in lines)
        yield from parity_tables(summary, name, labels, changes)


def _paper(asked: Asked, done: Done) -> list[Text | Shown]:
    """The paper's numbers beside the run's where any can be compared; else how to see why not."""
    subject = Subject(done.run, done.settings, asked.roles)
    table = beside(subject)
    rows = compact(table)
    line = f"All of the paper's numbers, each with the reason: gazetune reproduce {done.run.path}"
    if subject.kind == "synthetic" or not rows.rows:
        return [Text(f"No result of this run can be set beside the paper's. {line}")]
    other = f" Not the paper's: {'; '.join(in_other_ways(table))}." if in_other_ways(table) else ""
    return [Text(f"{counts(table)}. {about(subject)}{other} {line}"), rows]

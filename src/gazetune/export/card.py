"""The model card: everything that a run knows of a model, and nothing that it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml

from gazetune.attention import METHODS
from gazetune.data.places import LABELLED
from gazetune.experiment import Entry, Experiment
from gazetune.export.answering import Checked
from gazetune.export.lineage import DATA_LICENCES, UNKNOWN, Start
from gazetune.export.moved import Moved
from gazetune.export.shown import CAVEATS, CITE, CONTROL, EXPLAINED, METRICS_IN_WORDS, ROWS, TUNING
from gazetune.metrics import METRICS
from gazetune.report.parity import classified, parity_tables
from gazetune.report.words import number, row_name, table_rows, test_between
from gazetune.tables.rows import HALF, PRIORS
from gazetune.training.settings import BEYOND, FOLDERS

TARGETS = {
    "true_pairs": "each image's own human fixation density",
    "shuffled": "the fixation density of another image (a control)",
    "centre": "a Gaussian at the centre of the image (a control)",
    "uniform": "a uniform map (a control)",
}


@dataclass(frozen=True)
class Facts:
    """What a card is made of.

    summary: of the run's tables; None, with the reason in `unscored`, where they do not belong to these weights.
    moved: None, with the reason in `unmoved`, where the start weights are not at hand. state: of the training.
    loading: how to load the model, in words, and the code.
    """

    experiment: Experiment
    entry: Entry
    provenance: Mapping[str, Any]
    state: Mapping[str, Any]
    start: Start
    summary: Mapping[str, Any] | None
    unscored: str
    moved: Moved | None
    unmoved: str
    architecture: str
    preprocessing: str
    loading: tuple[str, str]
    headed: bool
    onnx: Checked | None
    library: str


def model_card(facts: Facts) -> str:
    """README.md of an exported model: YAML front matter, then prose and tables in Markdown."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((resources.files("gazetune") / "export" / "card.md").read_text("utf-8"))
    experiment, summary = facts.experiment, facts.summary
    datasets = [_dataset(facts, summary, name) for name in summary["datasets"]] if summary else []
    parity = [_parity(facts, summary, name) for name in classified(summary)] if summary else []
    control = experiment.roles()[facts.entry.key] != "tuned"
    label = experiment.labels()[facts.entry.key]
    return template.render(
        front=yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True),
        title=text(f"{label}: {facts.architecture}, attention tuned by gazetune"),
        opening=_opening(facts, control),
        simulated=_simulated(experiment),
        rows=_rows_in_words(facts, summary),
        metrics=[(text(_heading(m)), METRICS_IN_WORDS[m]) for m in experiment.metrics if m in METRICS_IN_WORDS],
        tuning=TUNING,
        version=facts.provenance.get("gazetune", UNKNOWN),
        commit=facts.provenance.get("commit"),
        done=[(name, text(value)) for name, value in _done(facts)],
        changed=_changed(facts),
        blocks=[(b, f"{v:.2%}") for b, v in facts.moved.by_block.items()] if facts.moved else [],
        datasets=datasets,
        unscored=facts.unscored,
        parity=[part for part in parity if part["accuracy"] or part["against"]],
        no_parity="no labelled images were classified by this model and by the reference in this run.",
        loading=facts.loading[0],
        code=facts.loading[1],
        onnx=facts.onnx,
        caveat=CAVEATS[experiment.method_of(facts.entry.model)],
        method=CITE[experiment.method_of(facts.entry.model)],
        use="This is a **control**: it was made to be compared with, not to be used." if control else "",
        sources=[[text(cell) for cell in row] for row in _sources(facts, summary)],
    )


def text(value: object) -> str:
    """A name or value as Markdown that is read as text, in a table too."""
    return str(value).replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def _simulated(experiment: Experiment) -> bool:
    """Whether the fixations that it learnt from are made up by gazetune."""
    return experiment.study.kind == "synthetic"


def _rows_in_words(facts: Facts, summary: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the rows of the tables are that are no model, and the controls."""
    there = {a["model"] for a in (summary or {"alignment": ()})["alignment"]}
    roles, labels = facts.experiment.roles(), facts.experiment.labels()
    controls = [text(labels[key]) for key, role in roles.items() if role == "control" and key in there]
    rows = [(row_name(key, {}), words) for key, words in ROWS.items() if key in there]
    return [*rows, *([(", ".join(controls), CONTROL)] if controls else [])]


def _front(facts: Facts) -> dict[str, Any]:
    """The front matter of a model card, as the hub reads it."""
    tags = ["gazetune", "attention", "saliency"]
    tags += [] if _simulated(facts.experiment) else ["human-attention", "eye-tracking"]
    front: dict[str, Any] = {"library_name": facts.library}
    front |= {"pipeline_tag": "image-classification" if facts.headed else "image-feature-extraction"}
    front |= {"license": facts.start.licence.lower(), "tags": tags + (["onnx"] if facts.onnx else [])}
    return front | ({"base_model": facts.start.hub} if facts.start.hub else {})


def _opening(facts: Facts, control: bool) -> str:
    entry, experiment = facts.entry, facts.experiment
    towards = TARGETS.get(entry.model.targets, f"targets of the kind '{entry.model.targets}'")
    weight = experiment.training_of(entry.model).lambda_attention
    if not weight:
        towards = "nothing: the attention term had weight 0 (a control)"
    begun = f"It began as {facts.start.name}."
    still = " No step lowered the validation loss, so these *are* the start weights." if not _best(facts) else ""
    kind = "A control model" if control else "A model"
    return text(f"{kind} ({facts.architecture}) whose attention was drawn towards {towards}. {begun}") + still


def _best(facts: Facts) -> int:
    return int(facts.state["best_step"])


def _done(facts: Facts) -> list[tuple[str, object]]:
    """What was done, as rows of a table."""
    experiment, entry, state = facts.experiment, facts.entry, facts.state
    settings = experiment.training_of(entry.model)
    images = facts.summary["datasets"].get(experiment.study.kind, {}).get("images") if facts.summary else None
    shown = ", ".join(f"{n} {split}" for split, n in images.items()) if images else UNKNOWN
    stage = facts.provenance.get("stages", {}).get(f"train/{entry.key}", {})
    method = experiment.method_of(entry.model)
    explained = f"; explained: {EXPLAINED[experiment.target]}" if METHODS[method].gradient and facts.headed else ""
    beyond = settings.model_dump(include={*BEYOND, *FOLDERS}, exclude_defaults=True)
    also = ", ".join(f"{k} {Path(str(v)).name if k in FOLDERS else v}" for k, v in beyond.items())  # never a path
    moves = [("statistics of batch norm", "moved by the training batches in the layers that learn; frozen elsewhere")]
    return [
        ("start weights", f"{facts.start.name}; sha256 {stage.get('inputs', {}).get('weights', UNKNOWN)}"),
        ("data", f"{experiment.study.kind}; images: {shown}"),
        ("drawn towards", TARGETS.get(entry.model.targets, entry.model.targets)),
        ("attention", method + explained),
        ("input", facts.preprocessing),
        ("optimiser", f"AdamW, learning rate {settings.lr:g}, weight decay {settings.weight_decay:g}"),
        ("batch size, precision", f"{settings.batch_size}, {settings.precision}"),
        ("weight of the attention term", f"{settings.lambda_attention:g}, beside distillation from the frozen start"),
        *([("beyond the paper (docs/training.md)", also)] if also else []),
        ("steps", f"{state['step']}; the weights are those of step {_best(facts)} (lowest validation loss)"),
        ("validation loss", f"{number(state['evaluated'].get('0'))} at the start, {number(state['best_loss'])} here"),
        *(moves if settings.batch_norm_statistics == "moving" else []),
        ("seed", entry.seed),
    ]


def _changed(facts: Facts) -> str:
    moved = facts.moved
    if moved is None:
        return f"How far the parameters moved is unknown: {text(facts.unmoved)}"
    frozen = (
        "All others were frozen and are bit for bit those of the start weights"
        if not moved.others_changed
        else f"**{moved.others_changed:,} of the others differ from the start weights, which they should not**"
    )
    if moved.buffers:
        frozen += f"; of the {moved.buffers:,} numbers that are no parameters (running statistics of batch norm), " + (
            f"{moved.buffers_changed:,} moved with the training images" if moved.buffers_changed else "none moved"
        )
    learnt = f"{moved.learnable:,} of {moved.total:,} parameters could learn ({moved.learnable / moved.total:.1%})"
    return (
        f"{learnt}: {text(', '.join(moved.kinds))}; {moved.changed:,} of them are not as they were. {frozen}. As a "
        f"whole they moved by {moved.relative:.2%} of their own length (|difference| / |start|, Euclidean); the "
        f"largest change of a single one is {moved.largest:.2g}."
    )


def _dataset(facts: Facts, summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The alignment tables of one data set: the rows of the run's own table, and this model against each other one."""
    labels, key = facts.experiment.labels(), facts.entry.key
    present = {a["metric"] for a in summary["alignment"] if a["dataset"] == name}
    metrics = [m for m in facts.experiment.metrics if m in present]
    roles = facts.experiment.roles()
    models = {a["model"] for a in summary["alignment"] if a["dataset"] == name}
    others = [k for k, role in roles.items() if k != key and role in ("reference", "control")]
    rivals = [k for k in (*others, *[p for p in PRIORS if p in models][:1], HALF) if k in models]
    rows = []
    for metric in metrics:
        for rival in rivals:
            test = test_between(summary, name, metric, key, rival)
            if test is not None and test["difference"] is not None:
                interval = f"{number(test['ci_low'])} to {number(test['ci_high'])}"
                rows.append(
                    [_heading(metric), row_name(rival, labels), f"{test['difference']:+.3f}", interval, test["n"]]
                )
    return {
        "name": text(name),
        "n": summary["datasets"][name]["images"]["test"],
        "metrics": [text(_heading(m)) for m in metrics],
        "rows": [[text(cell) for cell in row] for row in table_rows(summary, name, labels, metrics)],
        "differences": [[text(cell) for cell in row] for row in rows],
    }


def _heading(metric: str) -> str:
    return METRICS[metric].heading if metric in METRICS else metric


def _parity(facts: Facts, summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Accuracies on one data set, and this model against the reference."""
    labels, key = facts.experiment.labels(), facts.entry.key
    accuracy = [
        f"{text(row_name(a['model'], labels))}: {a['top1']:.1%} of {a['n']} images (95 % interval "
        f"{a['top1_ci_low']:.1%} to {a['top1_ci_high']:.1%}), top 5 {a['top5']:.1%}"
        for a in summary.get("accuracy", [])
        if a["dataset"] == name and (a["model"] == key or facts.experiment.roles().get(a["model"]) == "reference")
    ]
    own = {"parity": [row for row in summary.get("parity", []) if row["first"] == key]}
    against = [
        [[text(cell) for cell in row] for row in (table.head, *table.rows)]
        for table in parity_tables(own, name, labels, {})
    ]
    return {"name": text(name), "accuracy": accuracy, "against": against}


def _sources(facts: Facts, summary: Mapping[str, Any] | None) -> list[list[str]]:
    """Licence and citation of weights and data."""
    rows = [[f"start weights: {facts.start.name}", facts.start.licence, facts.start.citation]]
    kind = facts.experiment.study.kind
    others = {name: source.kind for name, source in facts.experiment.score_on.items()}
    for name, about in (summary or {"datasets": {kind: {}}})["datasets"].items():
        licence = DATA_LICENCES.get(others.get(name, name), UNKNOWN)
        rows.append([f"data: {name}", licence, about.get("citation") or UNKNOWN])
    for name in classified(summary) if summary else []:
        settings = facts.provenance.get("stages", {}).get(f"parity/{name}", {}).get("inputs", {}).get("settings", {})
        place = LABELLED.get(settings.get("kind", name))
        rows.append([f"labelled images: {name}", place.licence if place else UNKNOWN, place.what if place else UNKNOWN])
    return rows

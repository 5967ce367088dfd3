"""The answer of a run in one paragraph: did alignment rise, was it specific, did biases move, what did it cost?

The rules behind the words stand in docs/report.md. They depend on the tests alone, so that every outcome has its words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gazetune.metrics import Metric
from gazetune.report.cost import cost, cost_of_all
from gazetune.report.moved import moved
from gazetune.report.words import (
    IN_BRACKETS,
    all_refused,
    compared,
    in_question,
    is_shown,
    listed,
    nothing_kept,
    number,
    row_name,
    test_between,
)
from gazetune.tables.rows import PRIORS

PRIMARY, BEYOND_CENTRE = "cc", "sauc"
COMPARED = ("{} models were compared on the same images; nothing was trained.", "One model; nothing was trained.")
RISE = {1: "rose", -1: "fell", 0: "was not shown to change"}
SIDE = {1: "is higher than", -1: "is lower than", 0: "is not shown to differ from"}
Part = tuple[str, str]  # a verdict, and the numbers it rests on
Test = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a run is asked about: its summary, the part and the label of each model by key, and the metrics."""

    summary: Mapping[str, Any]
    roles: Mapping[str, str]
    labels: Mapping[str, str]
    metrics: Mapping[str, Metric]

    @property
    def reference(self) -> str:
        """The key of the reference."""
        return next(key for key, role in self.roles.items() if role == "reference")

    def keys(self, role: str) -> list[str]:
        """The models with this part."""
        return [key for key, known in self.roles.items() if known == role]

    def present(self, dataset: str) -> set[str]:
        """The rows that have a score on a data set."""
        return {a["model"] for a in self.summary["alignment"] if a["dataset"] == dataset}

    def prior(self, dataset: str) -> str | None:
        """The row that is the centre prior of a data set."""
        return next((row for row in PRIORS if row in self.present(dataset)), None)

    def primary(self) -> str | None:
        """The metric that the words are about: CC or, where it was not asked for, the first that has a direction."""
        directed = [name for name, metric in self.metrics.items() if metric.better != "neither"]
        return PRIMARY if PRIMARY in directed else next(iter(directed), None)

    def label(self, metric: str) -> str:
        """What a metric is called."""
        return self.metrics[metric].label or metric

    def towards_people(self, test: Test | None, metric: str, p: str = "p") -> int:
        """1: the first is better, beyond doubt; -1: the second is; 0: neither is shown."""
        if test is None or not is_shown(test[p]):
            return 0
        sign = -1 if self.metrics[metric].better == "lower" else 1
        return sign if test["difference"] > 0 else -sign


def answer(asked: Asked, dataset: str | None) -> list[Part]:
    """The verdicts of a run and the numbers they rest on, in order; together they are one paragraph.

    dataset: the one that the answer is about; None where images were only classified.
    """
    tuned = asked.keys("tuned")
    if dataset is None:
        start = [] if tuned else [(COMPARED[len(asked.roles) == 1].format(len(asked.roles)), "")]
        only = ("Alignment was not measured:", "no image with fixations was scored with these models.")
        return [*start, only, *cost_of_all(asked.summary, in_question(asked.roles), asked.reference, asked.labels)]
    if not tuned:
        return list(_comparison(asked, dataset))
    model = tuned[0]
    parts = [_rise(asked, dataset, model), *_specific(asked, dataset, model), *_elsewhere(asked, dataset, model)]
    parts += moved(asked.summary, dataset, model, asked.reference, asked.labels)
    return [*parts, *cost(asked.summary, model, asked.reference, asked.labels), *_unmoved(asked)]


def as_text(parts: list[Part]) -> str:
    """The paragraph as plain text."""
    return " ".join([*(text for part in parts for text in part if text), IN_BRACKETS])


def _comparison(asked: Asked, dataset: str) -> Iterator[Part]:
    """Where nothing was tuned: every model against the reference and the centre prior; and their accuracies."""
    yield COMPARED[len(asked.roles) == 1].format(len(asked.roles)), ""
    metric, prior = asked.primary(), asked.prior(dataset)
    for key in in_question(asked.roles) if metric else ():
        against = [asked.reference] if key != asked.reference else []
        tests = {r: test_between(asked.summary, dataset, str(metric), key, r) for r in [*against, prior] if r}
        if not any(tests.values()):
            continue
        verdicts = [
            f"{SIDE[_side(test)]} that of {row_name(r, asked.labels)}" for r, test in tests.items() if test is not None
        ]
        said = f"{asked.label(str(metric))} of {row_name(key, asked.labels)} {listed(verdicts)}:"
        beyond = _against(asked, dataset, BEYOND_CENTRE, key, [*against, prior])
        yield said, _sentence(_numbers(asked, str(metric), tests), beyond)
    yield from cost_of_all(asked.summary, in_question(asked.roles), asked.reference, asked.labels)


def _rise(asked: Asked, dataset: str, model: str) -> Part:
    """Did alignment rise, by the primary metric; what the others say; and the other seeds."""
    metric = asked.primary()
    test = None if metric is None else test_between(asked.summary, dataset, metric, model, asked.reference)
    if metric is None or test is None or test["p"] is None:
        why = f" ({test['reason']})" if test and test.get("reason") else ""
        return "Whether alignment with people rose could not be tested", f"against the reference{why}."
    word = RISE[asked.towards_people(test, metric)]
    numbers = _numbers(asked, metric, {asked.reference: test})
    others = [m for m, known in asked.metrics.items() if m != metric and known.better != "neither"]
    tests = {m: test_between(asked.summary, dataset, m, model, asked.reference) for m in others}
    went = [asked.towards_people(t, m, "p_holm") for m, t in tests.items() if t is not None and t["p"] is not None]
    more = (
        f" Of the other {len(went)} metrics {went.count(1)} moved towards people, {went.count(-1)} away and "
        f"{went.count(0)} not significantly (Holm)."
        if went
        else ""
    )
    return f"Alignment with people {word}:", f"{_sentence(numbers)}{more}{_seeds(asked, dataset, metric)}"


def _seeds(asked: Asked, dataset: str, metric: str) -> str:
    """How the other tuned models did, where there are several."""
    tuned = asked.keys("tuned")
    tests = [test_between(asked.summary, dataset, metric, key, asked.reference) for key in tuned]
    known = [t for t in tests if t is not None and t["difference"] is not None]
    if len(tuned) < 2 or not known:
        return ""
    rose = sum(asked.towards_people(t, metric) == 1 for t in known)
    ends = f"{min(t['difference'] for t in known):+.3f} to {max(t['difference'] for t in known):+.3f}"
    return f" It rose in {rose} of {len(known)} tuned models (differences {ends}); what follows is of the first."


def _specific(asked: Asked, dataset: str, model: str) -> Iterator[Part]:
    """Is the rise more than the controls' and more than a centre bias?"""
    metric, prior = asked.primary(), asked.prior(dataset)
    if metric is None:
        return
    rose = asked.towards_people(test_between(asked.summary, dataset, metric, model, asked.reference), metric) == 1
    controls = [key for key in asked.keys("control") if key in asked.present(dataset)]
    tests = {key: test_between(asked.summary, dataset, metric, model, key) for key in controls}
    above = [key for key, test in tests.items() if asked.towards_people(test, metric) == 1]
    beyond = BEYOND_CENTRE if BEYOND_CENTRE in asked.metrics else metric
    centre = test_between(asked.summary, dataset, beyond, model, prior) if prior else None
    if not rose:
        verdict = "There is no rise that could be specific:"
    elif not controls:
        verdict = "Whether the rise is specific is not known, for the run has no control:"
    elif len(above) < len(controls):
        missed = listed([row_name(key, asked.labels) for key in controls if key not in above])
        verdict = f"The rise was not shown to be specific, for the tuned model is not above {missed}:"
    elif centre is not None and asked.towards_people(centre, beyond) != 1:
        verdict = "The rise was more than the control's, but no more than a centre bias is shown:"
    elif asked.towards_people(test_between(asked.summary, dataset, metric, model, str(prior)), metric) == -1:
        below = f"{asked.label(metric)} is worse than that of {row_name(str(prior), asked.labels)}"
        verdict = f"The rise was specific, though {below}:"
    else:
        verdict = "The rise was specific:"
    numbers = [*_numbers(asked, metric, tests), *_against(asked, dataset, metric, model, [prior])]
    if beyond != metric:
        numbers += _against(asked, dataset, beyond, model, [*controls[:1], prior])
    yield verdict, _sentence(numbers) or "there is nothing to compare with."


def _elsewhere(asked: Asked, dataset: str, model: str) -> Iterator[Part]:
    """The same on the other data sets that were scored."""
    metric = asked.primary()
    for name in asked.summary["datasets"]:
        test = test_between(asked.summary, name, metric, model, asked.reference) if metric and name != dataset else None
        if test is not None and test["p"] is not None:
            word = RISE[asked.towards_people(test, str(metric))]
            yield f"On {name} alignment {word}:", _sentence(_numbers(asked, str(metric), {asked.reference: test}))


def _unmoved(asked: Asked) -> Iterator[Part]:
    """Trainings whose best weights are those they began with."""
    learnt = {k: t for k, t in asked.summary["training"].items() if asked.roles.get(k) in ("tuned", "control")}
    still = [k for k, t in learnt.items() if t["best_step"] == 0]
    for key in (k for k in still if all_refused(learnt[k])):
        yield f"{row_name(key, asked.labels)}:", nothing_kept(learnt[key])
    names = [row_name(k, asked.labels) for k in still if not all_refused(learnt[k])]
    if names:
        yield f"No step of {', '.join(names)} lowered the validation loss:", "these weights are the start weights."


def _against(asked: Asked, dataset: str, metric: str, model: str, rivals: list[str | None]) -> list[str]:
    if metric not in asked.metrics:
        return []
    tests = {r: test_between(asked.summary, dataset, metric, model, r) for r in rivals if r}
    return _numbers(asked, metric, tests)


def _numbers(asked: Asked, metric: str, tests: Mapping[str, Test | None]) -> list[str]:
    """`CC 0.464 against 0.154 of baseline (difference +0.310 [.., ..], n = 100, p = ...)`, one a test."""
    return [
        f"{asked.label(metric)} {number(t['mean_first'])} against {number(t['mean_second'])} of "
        f"{row_name(key, asked.labels)} (difference {t['difference']:+.3f} [{number(t['ci_low'])}, "
        f"{number(t['ci_high'])}], n = {t['n']:,}, p {compared(t['p'])})"
        for key, t in tests.items()
        if t is not None and t["difference"] is not None
    ]


def _sentence(*groups: list[str]) -> str:
    parts = [part for group in groups for part in group]
    return "; ".join(parts) + "." if parts else ""


def _side(test: Test) -> int:
    """Which way a difference goes, as a number: 0 where it may be none."""
    return 0 if not is_shown(test["p"]) else 1 if test["difference"] > 0 else -1

"""report.html: the words of its answer for every outcome, its figures within 15 MB, its page in a real browser."""

import io
import re
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gazetune.experiment import Experiment
from gazetune.metrics import METRICS
from gazetune.report.answer import Asked, answer, as_text
from gazetune.report.html import EXPLORER, MOST_BYTES, write_report
from gazetune.report.methods_text import Done, methods_paragraphs
from gazetune.report.pictures import LEAST_WIDTH_PX, Picture, fitted, pictures
from gazetune.report.references import REFERENCES, cited, short
from gazetune.run import Run

HOSTILE = '<script>alert("it\'s")</script>&amp;'
ROLES = {"base": "reference", "tuned-s1": "tuned", "control-s1": "control"}
CHOSEN = {name: METRICS[name] for name in ("cc", "kl", "entropy_bits", "sauc")}


def paired(first, second, difference, p, metric="cc", dataset="table", **more):
    """A paired test of n = 20 images in which the second has .3."""
    ends = {"ci_low": difference - 0.1, "ci_high": difference + 0.1, "t": 2.0, "df": 19, "d": 0.5}
    means = {"mean_first": 0.3 + difference, "mean_second": 0.3, "difference": difference}
    place = {"dataset": dataset, "metric": metric, "first": first, "second": second, "n": 20}
    return {**place, **means, **ends, "p": p, "p_holm": p, "reason": "", **more}


def scored(*rows, dataset="table"):
    """A summary of these tests, in which every row has a score."""
    keys = ["human", "human_half", "mean_training_map", *ROLES]
    cell = {"n": 20, "mean": 0.3, "sd": 0.1, "sem": 0.02}
    alignment = [{"dataset": dataset, "model": k, "metric": m, **cell} for k in keys for m in CHOSEN]
    about = {"images": {"train": 40, "validation": 10, "test": 20}, "tested_and_stopped_on": 0, "fixations": 900}
    about |= {"fixations_outside_their_image": 3, "images_with_a_reason": {}, "reasons": [], "records_left_out": {}}
    about |= {"citation": "Someone, A., & Other, B. (2020). Eyes.", "maps": {}}
    found = {"experiment": "small", "reference": "base", "datasets": {dataset: about}, "training": {}}
    return {**found, "alignment": alignment, "tests": list(rows), "reasons": []}


def verdicts(summary, roles=ROLES, metrics=CHOSEN):
    labels = {key: key.partition("-")[0] for key in roles}
    return [verdict for verdict, _ in answer(Asked(summary, roles, labels, metrics), "table")]


RISE = paired("tuned-s1", "base", 0.2, 0.001)
ABOVE_CONTROL = paired("tuned-s1", "control-s1", 0.1, 0.01)
BEYOND_CENTRE = paired("tuned-s1", "mean_training_map", 0.2, 0.01, "sauc")


@pytest.mark.parametrize(
    ("tests", "rose", "specific"),
    [
        ([RISE, ABOVE_CONTROL, BEYOND_CENTRE], "rose:", "The rise was specific:"),
        ([RISE, ABOVE_CONTROL], "rose:", "The rise was specific:"),  # no prior to compare with
        ([RISE, {**ABOVE_CONTROL, "p": 0.06}, BEYOND_CENTRE], "rose:", "for the tuned model is not above control:"),
        ([RISE, paired("tuned-s1", "control-s1", -0.1, 0.01)], "rose:", "not shown to be specific"),
        ([RISE, ABOVE_CONTROL, {**BEYOND_CENTRE, "p": 0.5}], "rose:", "no more than a centre bias is shown:"),
        (
            [RISE, ABOVE_CONTROL, BEYOND_CENTRE, paired("mean_training_map", "tuned-s1", 0.3, 0.01)],
            "rose:",
            "though CC is worse than that of mean training map:",
        ),
        ([{**RISE, "p": 0.05}, ABOVE_CONTROL], "was not shown to change:", "no rise that could be specific:"),
        ([paired("tuned-s1", "base", -0.2, 1e-9)], "fell:", "no rise that could be specific:"),
        ([paired("base", "tuned-s1", -0.2, 0.01), ABOVE_CONTROL], "rose:", "The rise was specific:"),
        ([], "could not be tested", "no rise that could be specific:"),
        ([{**RISE, "p": None, "reason": "fewer than 3 images"}], "could not be tested", "no rise"),
    ],
)
def test_alignment_and_whether_it_is_specific(tests, rose, specific):
    first, second, *_ = verdicts(scored(*tests))
    assert first.startswith(("Alignment with people ", "Whether alignment")) and rose in first and specific in second


def test_the_answer_without_a_control_by_another_metric_and_its_numbers():
    without = {key: role for key, role in ROLES.items() if role != "control"}
    assert "the run has no control:" in verdicts(scored(RISE, BEYOND_CENTRE), without)[1]
    # KL: lower is better, so a fall of it is a rise of alignment
    fall = paired("tuned-s1", "base", -0.2, 0.01, "kl")
    assert "rose" in verdicts(scored(fall), metrics={"kl": METRICS["kl"]})[0]
    said = as_text(answer(Asked(scored(RISE, {**fall, "p_holm": 0.2}), ROLES, ROLES, CHOSEN), "table"))
    assert "CC 0.500 against 0.300 of reference (difference +0.200 [0.100, 0.300], n = 20, p = 0.001)" in said
    assert "Of the other 1 metrics 0 moved towards people, 0 away and 1 not significantly (Holm)." in said
    two = {**ROLES, "tuned-s2": "tuned"}
    both = scored(RISE, paired("tuned-s2", "base", 0.1, 0.3))
    assert "It rose in 1 of 2 tuned models (differences +0.100 to +0.200)" in as_text(
        answer(Asked(both, two, two, CHOSEN), "table")
    )


@pytest.mark.parametrize(
    ("reference", "tuned", "p", "word"),
    [
        (14.9, 14.6, 0.01, "sparsity moved towards people:"),
        (14.9, 13.9, 0.01, "sparsity moved past people:"),  # people 14.5: .4 above, then .6 below
        (14.9, 14.2, 0.01, "sparsity moved towards people and past them:"),
        (14.9, 15.1, 0.01, "sparsity moved away from people:"),
        (14.9, 14.6, 0.3, "sparsity was not shown to move:"),
    ],
)
def test_where_biases_went(reference, tuned, p, word):
    test = paired("tuned-s1", "base", tuned - reference, p, "entropy_bits", mean_first=tuned, mean_second=reference)
    summary = scored(test)
    for row in summary["alignment"]:
        if (row["model"], row["metric"]) == ("human", "entropy_bits"):
            row["mean"] = 14.5
    assert verdicts(summary)[2] == f"Biases: {word}"
    # a contrast counts by its p corrected over the analyses
    more = {"kind": "contrast", "analysis": "object_size", "measure": "small - large"}
    summary["bias_tests"] = [{**paired("tuned-s1", "base", 0.2, 0.01), **more, "p_holm": 0.06}]
    assert verdicts(summary)[2].startswith("Biases: object size was not shown to move and sparsity")


@pytest.mark.parametrize(
    ("difference", "p", "tost", "word"),
    [
        (-0.05, 0.01, 0.9, "Cost: accuracy fell on photos:"),
        (-0.005, 0.01, 0.01, "Cost: accuracy fell, by less than 1 point, on photos:"),
        (0.05, 0.01, 0.9, "Cost: accuracy rose on photos:"),
        (0.001, 0.6, 0.01, "Cost: no loss beyond 1 point on photos:"),
        (-0.01, 0.3, 0.2, "Cost: undecided on photos (neither a change nor equality within 1 point is shown):"),
    ],
)
def test_what_it_cost(difference, p, tost, word):
    assert verdicts(scored())[-1] == "What it cost in accuracy was not measured:"
    row = {**paired("tuned-s1", "base", difference, p, dataset="photos"), "head": "own", "unit": "prediction"}
    row |= {"tost_p": tost, "margin": 0.01, "accuracy_first": 0.8 + difference, "accuracy_second": 0.8}
    row |= {"bf01_jzs": 12.3, "ceiling_jzs": 19.9, "evidence_jzs": "strong for equality"}
    asked = Asked({**scored(), "parity": [row]}, ROLES, ROLES, CHOSEN)
    assert answer(asked, "table")[-1][0] == word
    numbers = answer(asked, "table")[-1][1]
    assert f"{100 * difference:+.2f} points [" in numbers and "BF01 = 12.3 of at most 19.9" in numbers
    # where images were only classified there is no alignment to speak of
    assert answer(asked, None)[0][0] == "Alignment was not measured:" and "photos" in answer(asked, None)[1][0]


def test_where_nothing_was_tuned():
    roles = {"base": "reference", "other": "other"}
    better = scored(paired("other", "base", 0.2, 0.01), paired("other", "mean_training_map", -0.1, 0.5))
    start, verdict = verdicts(better, roles)
    assert start == "2 models were compared on the same images; nothing was trained."
    assert (
        verdict == "CC of other is higher than that of base and is not shown to differ from that of mean training map:"
    )


def noise(width, height, seed=0):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(
        buffer, "png"
    )
    return Picture(f"n{seed}", "", "png", buffer.getvalue(), f"figures/n{seed}.png", "", (width, height))


def test_figures_are_scaled_to_fit_and_it_is_said():
    large, small = noise(900, 600), noise(500, 100, 1)
    assert fitted([large, small], 10**8) == ([large, small], [])
    room = large.bytes_on_page // 2 + small.bytes_on_page
    kept, notes = fitted([large, small], room)
    assert sum(p.bytes_on_page for p in kept) <= room and kept[1] == small
    assert kept[0].size_px == (675, 450) and Image.open(io.BytesIO(kept[0].content)).size == (675, 450)
    assert notes == ["n0 is scaled from 900 x 600 to 675 x 450 pixels (full size: figures/n0.png)"]
    kept, notes = fitted([large, small], 1000)  # what cannot be made smaller is left out, and named
    assert kept == [] and notes[0] == "n0 is left out here (see figures/n0.png)" and LEAST_WIDTH_PX > 450
    assert len(small.address) == small.bytes_on_page + len("data:image/png;base64,")


def experiment(**more):
    models = {
        "base": {"weights": "google/vit-base-patch16-224"},
        "tuned": {"weights": "google/vit-base-patch16-224", "train": True, "label": HOSTILE},
        "control": {"weights": "google/vit-base-patch16-224", "train": True, "targets": "shuffled"},
    }
    data = {"kind": "table", "path": "study", "split": {"rule": "hash"}}
    given = {"name": "small", "data": data, "models": models, "reference": "base", "seeds": [1], **more}
    return Experiment.model_validate(given)


def hostile_run(folder, chosen):
    """A run whose captions, categories, file names, labels and data set are hostile; a few pixels are its figures."""
    run, summary = Run(folder), scored(RISE, ABOVE_CONTROL, BEYOND_CENTRE)
    about = summary["datasets"]["table"]
    about["reasons"] = [{"image": f"{HOSTILE}.png", "split": "test", "reason": HOSTILE}]
    about["images_with_a_reason"] = {HOSTILE: 1}
    about["citation"] = HOSTILE
    summary["parity_not_run"] = [{"dataset": HOSTILE, "model": "tuned-s1", "reason": HOSTILE}]
    state = {"step": 6, "best_step": 0, "best_loss": 0.5, "stopped_early": True, "evaluated": {"0": 0.5}}
    summary["training"] = {"tuned-s1": {**state, "learnable": 10, "parameters": 100}}
    run.write_json("summary.json", summary)
    run.write_yaml("config.yaml", chosen.model_dump(mode="json") | {"note": HOSTILE})
    files = [run.write("figures/alignment.png", noise(600, 300).content), run.write(f"figures/{'x' * 9}.png", PIXEL)]
    files += [run.write("figures/accuracy.svg", SVG), run.write("figures/accuracy.png", PIXEL)]
    run.write_table("figures/alignment", pd.DataFrame({"a": [1]}))
    stages = {"figures": {"inputs": {}, "outputs": dict.fromkeys([*files, "figures/alignment.csv"], "")}}
    host = {"system": HOSTILE, "device": "x", "cpus": 1, "threads": 1}
    about = {
        "gazetune": "0",
        "commit": "abc+",
        "python": "3",
        "packages": {"torch": "2"},
        "device": "cpu",
        "host": host,
    }
    run.write_json("provenance.json", {**about, "command": f"gazetune run {HOSTILE}", "stages": stages})
    return run


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'
PIXEL = noise(40, 20).content


@pytest.fixture()
def page(tmp_path):
    chosen = experiment()
    run = hostile_run(tmp_path / "run", chosen)
    write_report(run, "table", chosen.model_dump(mode="json"), chosen.roles(), chosen.labels(), CHOSEN)
    return run


def test_names_are_text_and_nothing_is_missing(page):
    text = page.file("report.html").read_text()
    assert "<script" not in text and 'alert("' not in text and text.count("&lt;script&gt;") > 10
    assert text.count("<img ") == 3 and text.count("data:image/svg+xml") == 1  # the small drawing as SVG
    alts = re.findall(r'<img alt="([^"]+)"', text)
    assert alts[0].startswith("Mean of every metric") and alts[2] == "Figure xxxxxxxxx."  # unknown ones stand last
    assert 'href="figures/alignment.csv"' in text and "abc with local changes" in text
    assert "This run is not complete." in text and "<li>not done: score/table</li>" in text
    assert "No step of" in text and "lowered the validation loss" in text
    assert EXPLORER not in text and len(text.encode()) < MOST_BYTES
    page.write(EXPLORER, "<p>")
    chosen = experiment()
    write_report(page, "table", chosen.model_dump(mode="json"), chosen.roles(), chosen.labels(), CHOSEN)
    assert f'href="{EXPLORER}"' in page.file("report.html").read_text()
    page.file("figures/alignment.png").unlink()
    assert [p.name for p in pictures(page)] == ["accuracy", "xxxxxxxxx"]


def test_a_page_over_its_size_scales_its_figures_and_says_so(page, monkeypatch, capsys):
    monkeypatch.setattr("gazetune.report.html.MOST_BYTES", 450_000)
    chosen = experiment()
    write_report(page, "table", chosen.model_dump(mode="json"), chosen.roles(), chosen.labels(), CHOSEN)
    text = page.file("report.html").read_text()
    assert len(text.encode()) <= 450_000 and "alignment is scaled from 600 x 300 to 450 x 225" not in text
    assert "alignment is left out here (see figures/alignment.png)" in text
    assert "alignment is left out here" in capsys.readouterr().err


def test_methods_are_written_from_the_settings(tmp_path):
    said = {}
    for name, more in {
        "plain": {},
        "other": {
            "human": {"sigma_deg": 1.0, "pixels_per_degree": 24.0, "drop_first": True, "weight": "duration"},
            "training": {"lr": 0.002, "lambda_attention": 0.25, "max_steps": 77, "lambda_l2": 0.5},
            "attention": "gradcam",
            "target": "own",
            "limit": 9,
        },
    }.items():
        chosen = experiment(**more)
        summary = scored(RISE)
        state = {"step": 6, "best_step": 4, "best_loss": 0.5, "stopped_early": False, "evaluated": {"0": 0.9}}
        summary["training"] = {"tuned-s1": {**state, "learnable": 28_348_416, "parameters": 86_567_656}}
        done = Done(Run(tmp_path), chosen.model_dump(mode="json"), summary, chosen.labels())
        said[name] = " ".join(f"{lead} {text}" for lead, text in methods_paragraphs(done))
    plain, other = said["plain"], said["other"]
    assert "Of 86,567,656 parameters 28,348,416 (32.7%) could learn" in plain
    assert "table (Someone et al., 2020): images: 40 for training, 10 for validation and 20 for testing" in plain
    assert "SD 15 px of this grid" in plain and "learning rate of 1e-05" in plain and "λ = 1 times" in plain
    assert "at most 20 epochs" in plain and "rollout (Abnar & Zuidema, 2020)" in plain and "seed 42" in plain
    for part in (
        "1 degrees of visual angle (24 px a degree)",
        "each as long as it lasted",
        "the first of each observer",
    ):
        assert part in other and part not in plain
    for part in ("learning rate of 0.002", "λ = 0.25", "at most 77 steps", "0.5 times the squared distance"):
        assert part in other and part not in plain
    assert "Grad-CAM (Selvaraju et al., 2017)" in other and "the class that the model itself predicts" in other
    assert "At most 9 images of a part were used." in other
    works = cited(other, ["Zed, A. (1999). Data."])
    assert any(work.startswith("Selvaraju") for work in works) and works[-1].startswith("Zed")
    assert not any(work.startswith("Abnar") for work in works)
    assert short("Someone, A. (2001). On it.") == "Someone, 2001" and short("no reference") == ""


def test_every_reference_is_named_somewhere():
    texts = [f.read_text() for f in (resources.files("gazetune") / "report").iterdir() if f.name.endswith("_text.py")]
    joined = re.sub(r'"\s*\n\s*f?"', "", "".join(texts))
    assert [key for key in REFERENCES if key not in joined] == []


def test_the_page_in_a_browser(page, watched):
    watched.page.goto(page.file("report.html").as_uri())
    assert watched.page.title() == "gazetune: small"
    assert watched.page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert watched.serious() == []
    narrow = {"width": 360, "height": 740}
    watched.page.set_viewport_size(narrow)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert watched.serious() == []
    watched.page.set_viewport_size({"width": 1280, "height": 900})
    # a folded table and a section closed by the reader are printed all the same
    watched.page.locator("section details").first.evaluate("d => d.open = false")
    folded = watched.page.locator("details:not([open]) td, details:not([open]) img")
    assert folded.count() >= 2 and not any(folded.nth(i).evaluate(SEEN) for i in range(folded.count()))
    watched.page.emulate_media(media="print")
    assert all(folded.nth(i).evaluate(SEEN) for i in range(folded.count()))
    # headings of a long table stay in sight
    watched.page.emulate_media(media="screen")
    head = watched.page.locator("thead th").first
    assert head.evaluate("h => getComputedStyle(h).position") == "sticky"
    assert watched.errors == [] and watched.elsewhere == []


SEEN = "n => n.checkVisibility({contentVisibilityAuto: true}) && n.getBoundingClientRect().height > 0"

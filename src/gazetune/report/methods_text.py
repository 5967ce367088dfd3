"""What was done, written from a run's settings as the Methods section of a paper: models, data, training, maps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from gazetune.attention import METHODS
from gazetune.report.references import short
from gazetune.report.tests_text import tests_paragraphs
from gazetune.report.words import listed, number
from gazetune.run import Run

Settings = Mapping[str, Any]
Paragraph = tuple[str, str]  # its heading and its text
CNN = ("resnet", "convnext")
PARTS = {"train": "for training", "validation": "for validation", "test": "for testing"}
PRECISION = {"fp32": "32-bit floats", "bf16": "matrix products in bfloat16", "auto": "bfloat16 where the device has it"}
TARGETS = {
    "true_pairs": "each image's own fixation map",
    "shuffled": "the fixation map of another image of the same part (a permutation without fixed points, seed {seed}), "
    "which keeps the maps and breaks the pairing",
    "centre": "the mean fixation map of the training images, the same for every image",
    "uniform": "a flat map",
}
HOW = {
    "rollout": "attention rollout (Abnar & Zuidema, 2020): in each layer the mean over heads plus the identity, "
    "halved; the product over layers; its row at the token that the model is read at, over the patches",
    "cls_attention": "the last layer's attention of the token that the model is read at, averaged over heads",
    "mean_attention": "that token's attention averaged over heads and layers",
    "gradient_rollout": "rollout in which each head is weighted by the gradient of the explained score",
    "relevance": "relevance propagated through all layers (Chefer, Gur & Wolf, 2021)",
    "gradcam": "Grad-CAM (Selvaraju et al., 2017)",
}
EXPLAINED = {
    "teacher": "the class that the frozen start predicts",
    "own": "the class that the model itself predicts",
    "label": "the image's label",
}
MORE_TERMS = {
    "lambda_logits": "{:g} times the KL divergence of the class probabilities from the start's (Hinton, Vinyals "
    "& Dean, 2015)",
    "lambda_tokens": "{:g} times the mean squared difference of the patch tokens from the start's",
    "lambda_l2": "{:g} times the squared distance of the weights from the start's",
}
READABLE = {
    "lr": "learning rate", "weight_decay": "weight decay", "epochs": "epochs", "max_steps": "steps",
    "evaluate_every": "steps between evaluations", "min_improvement": "least improvement", "lambda_attention": "λ",
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a run did: its files, its settings as plain values, its summary, and the models' labels by key."""

    run: Run
    settings: Settings
    summary: Mapping[str, Any]
    labels: Mapping[str, str]

    def learning(self) -> list[str]:
        """The names of the models that were tuned."""
        return [name for name, model in self.settings["models"].items() if model["train"]]


def methods_paragraphs(done: Done) -> list[Paragraph]:
    """The paragraphs of Methods, each with its heading: only what was done is told."""
    parts = [("Models.", " ".join(_models(done)))]
    if done.summary["datasets"]:
        parts.append(("Human data.", " ".join(_human(done))))
    if done.learning() and done.summary["training"]:
        parts.append(("Training.", " ".join(_training(done))))
    if done.summary["datasets"]:
        parts.append(("Attention maps.", " ".join(_maps(done))))
    return [*parts, *tests_paragraphs(done.settings, done.summary)]


def start_name(model: Settings) -> str:
    """What a model starts from: a hub's name as it is, of a path its last part, of a run's checkpoint its model."""
    place = str(model.get("weights") or model.get("maps"))
    path = PurePath(place)
    is_path = place.startswith(("/", ".", "~")) or place.count("/") > 1
    name = path.parent.name if path.name == "best" else path.name if is_path else place
    return "the small ViT that ships with gazetune" if place == "tiny" else name


def _label(done: Done, name: str) -> str:
    return done.settings["models"][name].get("label") or name


def _models(done: Done) -> Iterator[str]:
    """One sentence a model, and which parameters learnt."""
    models, reference = done.settings["models"], done.settings["reference"]
    for name, model in models.items():
        start, label = start_name(model), _label(done, name)
        if model.get("maps"):
            yield f"{label}: ready-made saliency maps ({start})."
        elif not model["train"]:
            yield f"{label}: {start}, as it is{', the reference of all comparisons' if name == reference else ''}."
        else:
            towards = TARGETS.get(model["targets"], model["targets"]).format(seed=_of(done, name)["shuffle_seed"])
            nothing = _of(done, name)["lambda_attention"] == 0
            yield (
                f"{label}: began as {start} and was tuned "
                f"{'without an attention term (λ = 0)' if nothing else f'towards {towards}'}."
            )
    yield from _learnt(done)


def _learnt(done: Done) -> Iterator[str]:
    states = done.summary["training"]
    counts = {(t["learnable"], t["parameters"], _what_learns(done, key)) for key, t in states.items()}
    for learnable, parameters, what in sorted(counts):
        yield (
            f"Of {parameters:,} parameters {learnable:,} ({learnable / parameters:.1%}) could learn: {what}; all "
            f"others were frozen."
        )


def _what_learns(done: Done, key: str) -> str:
    """By the type that the checkpoint gives itself; code of a user's own leaves no such file."""
    kind = done.run.json(f"checkpoints/{key}/best/config.json", {}).get("model_type", "")
    if not kind:
        return "those that the model's own code names"
    last = any(name in kind for name in CNN)
    return "the last stage" if last else "the query, key, value and output projections of self-attention in every block"


def _of(done: Done, name: str) -> dict[str, Any]:
    """The training settings of one model."""
    return {**done.settings["training"], **done.settings["models"][name]["training"]}


def _human(done: Done) -> Iterator[str]:
    for name, about in done.summary["datasets"].items():
        counts = listed([f"{n:,} {PARTS[part]}" for part, n in about["images"].items() if n])
        source = f" ({short(about['citation'])})" if short(about["citation"]) else ""
        yield f"{name}{source}: images: {counts}; {about['fixations']:,} fixations."
    settings = done.settings
    if (settings.get("data") or {}).get("kind") == "synthetic":
        yield "Its images and observers are generated; no person took part."
    if settings.get("data"):
        yield _split(settings["data"]["split"], settings["data"]["kind"])
    if settings.get("limit"):
        yield f"At most {settings['limit']:,} images of a part were used."
    human, size = settings["human"], settings["map_size"]
    sigma = f"{human['sigma_px']:g} px of this grid"
    if human.get("sigma_deg"):
        sigma = f"{human['sigma_deg']:g} degrees of visual angle ({human['pixels_per_degree']:g} px a degree)"
    counted = "each as long as it lasted" if human["weight"] == "duration" else "each counted once"
    first = "; the first of each observer left out" if human["drop_first"] else ""
    window = human.get("window_ms")
    when = f"; those that begin from {window[0]:g} to {window[1]:g} ms" if window else ""
    yield (
        f"Fixations ({counted}{first}{when}) were scaled to a grid of {size} x {size}, blurred with a Gaussian "
        f"(SD {sigma}, cut off at 4 SD, zero padding) and scaled to 0..1."
    )


def _split(split: Settings, name: str) -> str:
    """The rule by which images were parted, as a sentence."""
    if split["rule"] == "modulo":
        minus = f" - {split['minus']}" if split["minus"] else ""
        parts = [f"{', '.join(map(str, split[p]))} {p}" for p in ("train", "validation", "test") if split[p]]
        said = f"by the remainder of (number in the file name{minus}) modulo {split['modulus']}: {'; '.join(parts)}"
    elif split["rule"] == "hash":
        said = f"by the sha256 of their names, {split['train']}, {split['validation']} and {split['test']} %"
    elif split["rule"] == "given":
        said = "as the data set gives it"
    else:
        return f"Nothing was trained on {name}: every image is a test image."
    stop = split["stop_on"] == "test images"
    tested = (
        "; early stopping looked at a tenth of the test images, chosen by the sha256 of their names" if stop else ""
    )
    return f"The images of {name} were parted {said}{tested}."


def _training(done: Done) -> Iterator[str]:
    t = done.settings["training"]
    weight = t["lambda_attention"]
    yield (
        f"The loss was the mean squared difference of the model's representation (the state that its head reads, "
        f"after the last block) from that of the frozen start, plus λ = {weight:g} times the KL divergence of the "
        f"attention map from the human map (human || model, in nats, both with 1e-10 added and divided by their sum; "
        f"summed over pixels, averaged over the batch)."
    )
    more = [text.format(t[name]) for name, text in MORE_TERMS.items() if t.get(name)]
    if more:
        yield f"Added to it: {listed(more)}."
    if t.get("distil_on"):
        yield "The start was held on to on other photos as well."
    most = f"at most {t['max_steps']:,} steps" if t.get("max_steps") else f"at most {t['epochs']} epochs"
    clipped = f", gradients shortened to a length of {t['max_grad_norm']:g}" if t.get("max_grad_norm") else ""
    yield (
        f"AdamW (Loshchilov & Hutter, 2019) with a constant learning rate of {t['lr']:g}, weight decay "
        f"{t['weight_decay']:g}, batches of {t['batch_size']}, {most}; no augmentation, no dropout"
        f"{clipped}; {PRECISION[t['precision']]}."
    )
    yield (
        f"The loss on the validation images was taken at the start, every {t['evaluate_every']} steps and at the end; "
        f"training stopped after {t['patience']} evaluations without an improvement of {t['min_improvement']:g}, and "
        f"the weights with the lowest loss were kept."
    )
    if t.get("max_accuracy_loss") is not None:
        yield (
            f"Weights that were right less often than the start by more than {t['max_accuracy_loss']:g} points on "
            f"labelled images were refused."
        )
    for name in done.learning():
        own = {READABLE.get(k, k): v for k, v in done.settings["models"][name]["training"].items()}
        if own:
            yield f"{_label(done, name)} differed in {listed([f'{k} ({v})' for k, v in own.items()])}."
    seeds = listed(list(map(str, done.settings["seeds"])))
    yield f"The order of the images was seeded ({seeds})."
    for key, state in done.summary["training"].items():
        stopped = "stopped early after" if state["stopped_early"] else "took"
        yield (
            f"{done.labels.get(key, key)} {stopped} {state['step']:,} steps; its best step is {state['best_step']:,} "
            f"(validation loss {number(state['best_loss'])}, {number(state['evaluated'].get('0'))} at the start)."
        )


def _maps(done: Done) -> Iterator[str]:
    settings = done.settings
    models = [m for m in settings["models"].values() if m.get("weights")]
    used = dict.fromkeys(m.get("attention") or settings["attention"] for m in models)
    size = settings["map_size"]
    for name in used:
        of = [_label(done, n) for n, m in settings["models"].items() if m.get("attention") == name]
        whose = f"Maps of {listed(of)} are by" if len(used) > 1 and of else "Maps are by"
        yield f"{whose} {HOW.get(name, name)}."
    if used:
        yield f"They were enlarged from the patch grid to {size} x {size} (bilinear) and scaled to 0..1."
    every = [*used, *settings.get("methods", [])]
    if any(METHODS[name].gradient for name in every if name in METHODS):
        yield f"Gradients are of the score of {EXPLAINED[settings['target']]}."
    others = [METHODS[name].label or name for name in settings.get("methods", []) if name in METHODS]
    if others:
        steps = settings["faithfulness"]["steps"]
        asked = f", and by deletion and insertion in {steps} steps (Petsiuk, Das & Saenko, 2018)" if steps else ""
        yield f"All models were also scored by other methods ({listed(others)}){asked}."
    if settings.get("image_size"):
        yield f"Images were brought to {settings['image_size']} pixels a side."
    if any(m.get("maps") for m in settings["models"].values()):
        yield f"Ready-made maps were brought to {size} x {size} (bilinear, antialiased) and scaled to 0..1."

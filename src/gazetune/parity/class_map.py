"""Which of a model's logits stands for each class of a data set."""


def class_places(classes: tuple[str, ...], of_model: tuple[str, ...], n_logits: int) -> list[int] | None:
    """Where each class of a data set stands among a model's logits; None where the model does not know them all.

    A model that names no classes is taken to have them in the data set's order if it has as many.
    """
    if not of_model:
        return list(range(n_logits)) if n_logits == len(classes) else None
    place = {name: i for i, name in enumerate(of_model)}
    return [place[name] for name in classes] if set(classes) <= set(of_model) else None


def why_not(classes, of_model, n_logits): return f"{n_logits} classes, not {len(classes)}: --class-map"
def read_class_map(path, classes, of_model, n): raise NotImplementedError

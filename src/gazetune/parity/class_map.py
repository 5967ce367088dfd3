"""Which of a model's classes is which class of a data set."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from gazetune.data.classes import SYNSET_AND_NAME, Classes, first_synonym, plain_name, unambiguous
from gazetune.data.csv_files import read_csv
from gazetune.data.labelled import some
from gazetune.errors import InputError


def class_places(classes: Classes | Sequence[str], of_model: Sequence[str], n_logits: int) -> list[int] | None:
    """Where each class of a data set stands among a model's logits; None where that cannot be told (`why_not`).

    Names are compared without case, in full, and by their first synonym where only one class on each side has it;
    synset ids by themselves. As many classes on both sides are in the same order if no name stands at another place
    and more than half stand at the same one, or if one side has no names to compare. Otherwise every class must be
    found by its name or synset id.

    Args:
        classes: those of the data set. of_model: the names of the logits, in order; empty if it names none.
    """
    found = _matched(classes, of_model, n_logits)
    return None if isinstance(found, str) else found


def why_not(classes: Classes | Sequence[str], of_model: Sequence[str], n_logits: int) -> str:
    """Why `class_places` is None, as a sentence for an error; empty where it is not."""
    found = _matched(classes, of_model, n_logits)
    return found if isinstance(found, str) else ""


def _matched(classes: Classes | Sequence[str], of_model: Sequence[str], n_logits: int) -> list[int] | str:
    wanted = classes if isinstance(classes, Classes) else Classes(names=tuple(classes))
    if of_model and len(of_model) != n_logits:
        return f"The model names {len(of_model)} classes but has {n_logits} logits."
    numbers = f"The data set has {len(wanted)} classes, the model {n_logits}"
    if not _can_be_compared(wanted, of_model):
        why = "names none of them" if not of_model else "calls them otherwise (names and synset ids)"
        return list(range(n_logits)) if n_logits == len(wanted) else f"{numbers}, and it {why}."
    place = _by_neighbours(_by_name(wanted, of_model), wanted, of_model)
    same = sum(i == j for i, j in enumerate(place))
    elsewhere = sum(j not in (None, i) for i, j in enumerate(place))
    if n_logits == len(wanted) and not elsewhere and same > len(wanted) / 2:
        return list(range(n_logits))
    missing = [name for name, j in zip(wanted.names, place, strict=True) if j is None]
    if not missing:
        return [j for j in place if j is not None]
    return (
        f"{numbers}; {len(missing)} of the data set's are not told by their names among the model's: {some(missing)}; "
        f"the model has {some(list(of_model))}."
    )


def _by_name(wanted: Classes, of_model: Sequence[str]) -> list[int | None]:
    """The place of each class by synset id, full name or first synonym, the surest first; each place once."""
    place: list[int | None] = [None] * len(wanted)
    taken: set[int] = set()
    keys: tuple[tuple[Sequence[str], Sequence[str]], ...] = (
        (_synsets(wanted), _synsets(Classes(names=tuple(of_model)))),
        *(([of(n) for n in wanted.names], [of(n) for n in of_model]) for of in _COMPARED),
    )
    for ours, theirs in keys:
        known, there = unambiguous(ours), unambiguous(theirs)
        for key in known.keys() & there.keys() - {""}:
            if place[known[key]] is None and there[key] not in taken:
                place[known[key]] = there[key]
                taken.add(there[key])
    return place


_COMPARED: tuple[Callable[[str], str], ...] = (plain_name, first_synonym)


def _by_neighbours(place: list[int | None], wanted: Classes, of_model: Sequence[str]) -> list[int | None]:
    """A name that stands twice (ImageNet's two classes "crane") is told by the classes before and after it."""
    told = list(place)
    for i in range(1, len(place) - 1):
        before, after = place[i - 1], place[i + 1]
        if place[i] is not None or before is None or after != before + 2:
            continue
        if first_synonym(of_model[before + 1]) == first_synonym(wanted.names[i]):
            told[i] = before + 1
    return told


def _can_be_compared(wanted: Classes, of_model: Sequence[str]) -> bool:
    """Whether both sides have names, or both have synset ids."""
    theirs = _synsets(Classes(names=tuple(of_model)))
    named = [name for name in wanted.names if not SYNSET_AND_NAME.fullmatch(name)]
    return bool(of_model) and bool((named and not theirs) or (theirs and _synsets(wanted)))


def _synsets(classes: Classes) -> Sequence[str]:
    """Synset ids of the classes: their own, or names that begin with one ("n01440764", "n01440764 tench")."""
    found = [SYNSET_AND_NAME.fullmatch(name) for name in classes.names]
    return classes.wnids or (tuple(m[1] if m else "" for m in found) if any(found) else ())


def read_class_map(
    path: str | Path, classes: Classes, of_model: Sequence[str], n_logits: int, occurring: Collection[int] | None = None
) -> list[int]:
    """Where each class of a data set stands among a model's logits, from a CSV that a user wrote.

    One row a class: `class` (name or synset id of the data set), and `index` (0 to n_logits - 1) or `model_class` (a
    name that the model knows). Several classes may have the same place: a model may have fewer. `occurring`: the
    classes that need a row, all by default; the others are at -1 if they have none.

    Raises:
        InputError: no such file, a missing column, a class of the data set without a row or with two, an unknown class
            on either side, an index out of range.
    """
    table = read_csv(path, f"The class map '{path}'", keep_default_na=False, dtype=str)
    column = next((c for c in ("index", "model_class") if c in table), None)
    if "class" not in table or column is None:
        there = ", ".join(map(str, table))
        raise InputError(f"The class map '{path}' needs the columns class, and index or model_class; it has {there}.")
    ours = [classes.place(x.strip()) for x in table["class"]]
    _refuse(
        path,
        [x for x, i in zip(table["class"], ours, strict=True) if i is None],
        "no class of the data set, or of several",
    )
    if column == "index":
        found = [int(x) if len(x) < 10 and x.strip().isdecimal() and int(x) < n_logits else None for x in table[column]]
        what = f"no index of the model's {n_logits} logits (0 to {n_logits - 1})"
    else:
        theirs = Classes(names=tuple(of_model))
        found = [theirs.place(x.strip()) for x in table[column]]
        what = f"none of the {len(of_model)} classes that the model names, or of several"
    _refuse(path, [x for x, i in zip(table[column], found, strict=True) if i is None], what)
    place: dict[int, int] = {}
    twice = []
    for i, j in zip(ours, found, strict=True):
        if i is not None and j is not None and place.setdefault(i, j) != j:
            twice.append(classes.names[i])
    _refuse(path, twice, "a class with two places in the model; a class has one")
    needed = range(len(classes)) if occurring is None else occurring
    missing = [classes.names[i] for i in sorted(needed) if i not in place]
    _refuse(path, missing, f"a class of the images ({len(needed)}) without a row")
    return [place.get(i, -1) for i in range(len(classes))]


def _refuse(path: str | Path, wrong: Sequence[str], what: str) -> None:
    if wrong:
        raise InputError(f"The class map '{path}', {len(wrong)} times: {what}: {some(list(dict.fromkeys(wrong)))}.")

"""Every figure of a run in the order of the paper, with what it shows in words."""

from gazetune.figures import (
    accuracy,
    alignment,
    bayes,
    biases,
    consistency,
    directions,
    examples,
    gain,
    heads,
    methods,
    pareto,
    sparsity,
)

# name of the file in figures/ -> the alternative text of the picture
ALT: dict[str, str] = {
    **examples.ALT,
    **alignment.ALT,
    **gain.ALT,
    **consistency.ALT,
    **biases.ALT,
    **sparsity.ALT,
    **accuracy.ALT,
    **bayes.ALT,
    **directions.ALT,
    **pareto.ALT,
    **heads.ALT,
    **methods.ALT,
}

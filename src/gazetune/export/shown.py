"""What a card says in the same words of every model: its map's method, the rows and metrics of its tables."""

from gazetune.tables.rows import GAUSSIAN, HALF, HUMAN, MEAN_MAP, NEXT, ONE_OUT, OTHERS

TUNING = (
    "as in the paper *Cognitive Alignment At No Cost: Inducing Human Attention Biases For Interpretable Vision "
    "Transformers*"
)

TOKENS = (
    "It shows how tokens are mixed, not what the answer hangs on: attention and the features that decide need not "
    "agree (Jain & Wallace, 2019, *Attention is not explanation*)."
)
GRADIENT = (
    "It is made of the gradient of one score: another class has another map, and a gradient says what a small change "
    "would do, not what the answer would be without a region."
)
# method -> what its map is no answer to
CAVEATS: dict[str, str] = {
    "rollout": f"{TOKENS} Rollout adds assumptions of its own (Abnar & Zuidema, 2020).",
    "cls_attention": f"{TOKENS} It is the last layer's alone: what was mixed before it is not seen.",
    "mean_attention": f"{TOKENS} A patch that reaches the read-out by way of another token does not count.",
    "gradient_rollout": GRADIENT,
    "relevance": GRADIENT,
    "gradcam": f"{GRADIENT} What speaks against the class is cut off, and the map is as coarse as the maps inside.",
}
CITE: dict[str, str] = {
    "rollout": "Abnar, S., & Zuidema, W. (2020). Quantifying attention flow in transformers. ACL.",
    "cls_attention": "Caron, M., et al. (2021). Emerging properties in self-supervised vision transformers. ICCV.",
    "mean_attention": "the mean over layers of the read-out's attention",
    "gradient_rollout": "Gildenblat, J. (2020). Exploring explainability for vision transformers.",
    "relevance": "Chefer, H., Gur, S., & Wolf, L. (2021). Generic attention-model explainability for interpreting "
    "bi-modal and encoder-decoder transformers. ICCV.",
    "gradcam": "Selvaraju, R. R., et al. (2017). Grad-CAM: Visual explanations from deep networks via gradient-based "
    "localization. ICCV.",
}
EXPLAINED = {
    "teacher": "the class that the frozen start sees in the image",
    "own": "the class that the model itself sees in the image",
    "label": "the image's label",
}
CONTROL = (
    "control models: tuned in the same way towards maps that say nothing of the image (its name says which; shuffled: "
    "those of other images); what the tuned model has over them comes from looking where people looked in this image"
)
# rows of a table that are no model
ROWS: dict[str, str] = {
    HUMAN: "the people's own map: what there is to be said of it alone",
    HALF: "every second observer of an image predicts the others: about the best that a map can do, though scored "
    "against half of the observers",
    ONE_OUT: "all other observers of an image predict one of them",
    GAUSSIAN: "a blob at the centre of every image",
    MEAN_MAP: "where people looked on average over the training images, the same for every image: knows that people "
    "look at the centre, and nothing of the image",
    OTHERS: "where people looked on average over all other images of the table: knows nothing of the image",
    NEXT: "the people's map of another image",
}
METRICS_IN_WORDS: dict[str, str] = {
    "cc": "Pearson correlation of the map with the density of fixations, over pixels",
    "nss": "mean of the map at the fixated pixels, in SD over its mean",
    "auc_judd": "chance that a fixated pixel has a higher value than another pixel; 0.5 is guessing",
    "kl": "Kullback-Leibler divergence of the map from the density of fixations, in nats; 0 is equality",
    "sim": "shared mass of map and density, 0 to 1",
    "entropy_bits": "how spread out the map is, in bits; says nothing of people",
    "sauc": "as AUC, against pixels that were fixated in other images: the centre does not help",
    "kl_reverse": "Kullback-Leibler divergence of the density from the map, in nats",
    "ig_bits": "information gain: bits a fixation that the map knows beyond the centre prior",
    "partial_cc": "CC without what both share with the mean map of other images",
}

"""What a map of each attention method shows and does not, and whose method it is: for the card."""

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

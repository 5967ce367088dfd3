"""The works that a run's Methods may cite; the key is how the text names them."""

import re

REFERENCES = {
    "Abnar & Zuidema, 2020": "Abnar, S., & Zuidema, W. (2020). Quantifying attention flow in transformers. ACL.",
    "Barbu et al., 2019": "Barbu, A., et al. (2019). ObjectNet: A large-scale bias-controlled dataset for pushing the "
    "limits of object recognition models. NeurIPS 32.",
    "Bylinskii et al., 2019": "Bylinskii, Z., Judd, T., Oliva, A., Torralba, A., & Durand, F. (2019). What do "
    "different evaluation metrics tell us about saliency models? IEEE TPAMI, 41(3), 740-757.",
    "Chefer, Gur & Wolf, 2021": "Chefer, H., Gur, S., & Wolf, L. (2021). Generic attention-model explainability for "
    "interpreting bi-modal and encoder-decoder transformers. ICCV.",
    "Efron, 1979": "Efron, B. (1979). Bootstrap methods: Another look at the jackknife. Annals of Statistics, 7(1).",
    "Fisher, 1921": "Fisher, R. A. (1921). On the probable error of a coefficient of correlation deduced from a small "
    "sample. Metron, 1.",
    "Hendrycks & Dietterich, 2019": "Hendrycks, D., & Dietterich, T. (2019). Benchmarking neural network robustness to "
    "common corruptions and perturbations. ICLR.",
    "Hinton, Vinyals & Dean, 2015": "Hinton, G., Vinyals, O., & Dean, J. (2015). Distilling the knowledge in a neural "
    "network. arXiv:1503.02531.",
    "Holm, 1979": "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics, 6(2).",
    "Jeffreys, 1961": "Jeffreys, H. (1961). Theory of probability (3rd ed.). Oxford University Press.",
    "Kümmerer, Wallis & Bethge, 2015": "Kümmerer, M., Wallis, T. S. A., & Bethge, M. (2015). Information-theoretic "
    "model comparison unifies saliency metrics. PNAS, 112(52).",
    "Lee & Wagenmakers, 2013": "Lee, M. D., & Wagenmakers, E.-J. (2013). Bayesian cognitive modeling. Cambridge "
    "University Press.",
    "Lin et al., 2014": "Lin, T.-Y., et al. (2014). Microsoft COCO: Common objects in context. ECCV, 740-755.",
    "Loshchilov & Hutter, 2019": "Loshchilov, I., & Hutter, F. (2019). Decoupled weight decay regularization. ICLR.",
    "McNemar, 1947": "McNemar, Q. (1947). Note on the sampling error of the difference between correlated proportions "
    "or percentages. Psychometrika, 12(2).",
    "Owen, 2007": "Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied Statistics, 1(2), 386-411.",
    "Petsiuk, Das & Saenko, 2018": "Petsiuk, V., Das, A., & Saenko, K. (2018). RISE: Randomized input sampling for "
    "explanation of black-box models. BMVC.",
    "Rouder et al., 2009": "Rouder, J. N., Speckman, P. L., Sun, D., Morey, R. D., & Iverson, G. (2009). Bayesian t "
    "tests for accepting and rejecting the null hypothesis. Psychonomic Bulletin & Review, 16(2), 225-237.",
    "Schuirmann, 1987": "Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power "
    "approach for assessing the equivalence of average bioavailability. Journal of Pharmacokinetics and "
    "Biopharmaceutics, 15(6).",
    "Selvaraju et al., 2017": "Selvaraju, R. R., et al. (2017). Grad-CAM: Visual explanations from deep networks via "
    "gradient-based localization. ICCV.",
    "Wagenmakers, 2007": "Wagenmakers, E.-J. (2007). A practical solution to the pervasive problems of p values. "
    "Psychonomic Bulletin & Review, 14(5), 779-804.",
    "Wilcoxon, 1945": "Wilcoxon, F. (1945). Individual comparisons by ranking methods. Biometrics Bulletin, 1(6).",
    "Wilson, 1927": "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA, "
    "22(158).",
}


def cited(text: str, of_data: list[str]) -> list[str]:
    """The works that a text names, and those of the data, in alphabetical order, each once."""
    named = [work for key, work in REFERENCES.items() if key in text]
    return sorted(dict.fromkeys([*named, *of_data]), key=str.casefold)


def short(citation: str) -> str:
    """`Xu et al., 2014` of a full reference; empty where it does not begin with an author and have a year."""
    found = re.match(r"([^,()]+),(.*?)\((\d{4})\)", citation, re.DOTALL)
    if found is None:
        return ""
    others = " et al." if "&" in found[2] or "et al" in found[2] else ""
    return f"{found[1].strip()}{others}, {found[3]}"

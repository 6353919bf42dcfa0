"""Six hidden targets on scikit-learn's embedded digits, two of them nets, four from scikit-learn.

Three have no usable gradient (calibrated support vectors, a forest, nearest neighbours).
The targets are trained on one part of the digits, the attacker owns another, and the attacked images are a third:

    target 900 · surrogate 400 · attack 497
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from blackbox.plain_text import did_you_mean

if TYPE_CHECKING:
    from blackbox.threat import Threat
    from surrogates import Dataset

NAMES = ("cnn", "mlp", "logreg", "svm-rbf", "forest", "knn")
NETS = ("cnn", "mlp")
PARTS = {"target": 900, "surrogate": 400, "attack": 497}
WHAT = {
    "cnn": "small convolutional net",
    "mlp": "two-layer net",
    "logreg": "logistic regression",
    "svm-rbf": "support vectors, RBF kernel, calibrated; no gradient",
    "forest": "200 random trees; no gradient",
    "knn": "5 nearest neighbours; no gradient",
}


@lru_cache(maxsize=4)
def parts(seed: int = 0) -> dict[str, Dataset]:
    """Split the digits into three disjoint parts, each with the classes in proportion."""
    import surrogates as sg

    return sg.split(sg.load("digits"), PARTS, seed=seed)


def names(words: str) -> list[str]:
    """The target names in ``"all"`` or ``"svm-rbf,knn"``.

    Raises:
        ValueError: no such target.
    """
    chosen = list(NAMES) if words in ("all", "") else [w.strip() for w in words.split(",")]
    for name in chosen:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES)
            raise ValueError(f"Expected digits: and one of {', '.join(NAMES)} or all, but it was {name!r}.{hint}")
    return chosen


@cache
def fit(name: str, seed: int = 0) -> Any:
    """Train the hidden target of this name on the part ``"target"``: a torch module or a fitted classifier."""
    names(name)
    data = parts()["target"]
    if name in NETS:
        import surrogates as sg

        net = sg.build(name, classes=10, shape=data.shape, seed=seed + 1)  # another initialisation than a surrogate's seed 0
        return sg.train(net, data, sg.Recipe(epochs=6, least_updates=8, optimiser="adam", lr=1e-2), seed=seed + 1)
    return _classical(name, seed).fit(data.images.flatten(1).numpy(), data.labels.numpy())


def _classical(name: str, seed: int) -> Any:
    if name == "logreg":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)
    if name == "svm-rbf":
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.svm import SVC

        # scores from a sigmoid of the margins (Platt 1999), fitted with five folds around one machine
        return CalibratedClassifierCV(SVC(C=10, gamma="scale"), ensemble=False, cv=5)
    if name == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(200, random_state=seed)
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(5, weights="distance")


def target(name: str, seed: int = 0) -> Any:
    """One of the targets, as an Oracle takes it."""
    from blackbox.targets import ModuleTarget, SklearnTarget

    return (ModuleTarget if name in NETS else SklearnTarget)(fit(name, seed), name=name)


def oracle(name: str, access: str, rows_per_call: int | None = None, seed: int = 0) -> Any:
    """Wrap one of the targets in a new Oracle."""
    import blackbox as bb

    return bb.Oracle(target(name, seed), access=access, classes=10, rows_per_call=rows_per_call)


def threat(norms: tuple[str, ...], eps: float) -> Threat:
    """Linf ``eps`` if an attack supports it, else the first norm that it supports, with a radius that suits 64 pixels."""
    from blackbox.specs.threat import kinds

    norm = "Linf" if "Linf" in norms else norms[0]
    return kinds()[norm.lower()](eps if norm == "Linf" else {"L2": 1.0}.get(norm, 5.0))

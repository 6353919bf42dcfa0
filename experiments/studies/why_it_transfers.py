"""What foretells transfer, and what makes it differ? A factorial of surrogates on the embedded digits.

Nets that share data, architecture or initial weights with a hidden reference net, or do not (`surrogates.factorial`), each
attacked by one FGSM step, and the images shown to the reference: transfer of each; the alignment of gradients, seen with the
reference's own gradients and by two-query probes alone; their rank correlation with the measured rates (Demontis et al. 2019,
arXiv:1809.02861); and the share of the spread that is data, architecture and initialisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import blackbox as bb
import surrogates as sg
from experiments.runner import Found, each, run, says, tell


@dataclass(frozen=True)
class Settings:
    images: int = says(150, "attacked")
    probed: int = says(60, "of them, for the alignment")
    replicates: int = says(2, "nets of each kind")
    epochs: int = says(15, "of each net")
    cache: str | None = says(None, "a folder for the trained nets")
    directions: int = 16
    eps: float = 0.1
    attack: str = "fgsm"
    seed: int = 0


def measure(s: Settings) -> Found:
    parts = sg.split(sg.load("digits"), {"train": 1400, "test": 397}, seed=s.seed)
    recipe = sg.Recipe(epochs=s.epochs)
    made = sg.factorial(parts["train"], ("mlp", "lenet"), recipe, seed=s.seed, replicates=s.replicates, cache=s.cache)
    test, threat, hidden = parts["test"].take(slice(0, s.images)), bb.Linf(s.eps), bb.Oracle(made.reference, "scores", 10)
    matrix = sg.transfer_matrix(made.nets, {"reference": hidden}, test.images, test.labels, [s.attack], [threat], seed=s.seed)
    cells = [matrix.outcomes(name, "reference", s.attack, threat) for name in made.nets]
    hits, among = np.stack([h[0] for h, _, _ in cells]), np.stack([k[0] for _, k, _ in cells])
    x, y, probe = test.images[: s.probed], test.labels[: s.probed], sg.DirectionalProbe(s.directions)
    seen = probe(made.nets, hidden, x, y, seed=s.seed)
    true = [sg.alignment(net, made.reference, x, y, loss="margin") for net in made.nets.values()]
    cosine = [float(np.nanmean(t.cosine)) for t in true]
    correlations = {
        "cosine by two queries": sg.rank_correlation(np.nanmean(seen.cosine, 1), hits, among),
        "cosine by gradients": sg.rank_correlation(cosine, hits, among),
        "size of the surrogate's gradient": sg.rank_correlation([np.nanmean(t.source_size) for t in true], hits, among),
    }
    split = sg.decompose(matrix, made.cells, "reference", s.attack, threat)
    rows = []
    for i, name in enumerate(made.nets):
        rate = matrix.rate(name, "reference", s.attack, threat)
        by_queries = float(np.nanmean(seen.cosine[i]))
        angles = [round(float(v), 3) for v in true[i].cosine]
        rows.append({"net": name, "fooled": each(hits[i], among[i]), "cosine": cosine[i], "cosine by queries": by_queries, "each": angles})
        tell({**rows[-1], "fooled": [rate.k, rate.n]})
    print(f"noise of the same RMS: {matrix.noise_rate('reference', threat)}")
    tell({"rank correlation of transfer with the": "", **correlations})
    print(split.table(), flush=True)
    return {
        "rows": rows, "queries of the probe": seen.queries,
        "rank correlation": {what: [rho.value, rho.low, rho.high, rho.n] for what, rho in correlations.items()},
        "shares": {t.name: [t.share.value, t.share.low, t.share.high] for t in split.terms}, "sum of squares": split.total,
    }, None  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure)

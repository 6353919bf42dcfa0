"""Can a second net tell adversarial images from clean ones? And what if the attacker knows of it?

A classifier, and a detector (Metzen et al. 2017, arXiv:1702.04267) trained on clean images and on FGSM and PGD examples of the
classifier; its threshold lets at most --alarms of the clean images (others than it learned from) raise an alarm. First: how many
of the examples that fool the classifier does it notice, by attack, also by attacks it never saw? Then attacks on both at once,
as one model with a class "rejected" (Carlini & Wagner 2017, arXiv:1705.07263): I-FGSM towards each of the likeliest wrong
classes, on the model's own gradients; on a classifier and detector that the attacker trained on own images; and a query attack
on its scores. An image counts as fooled where the label is wrong *and* no alarm is raised; of the images the classifier
has right and without alarm. One pair of nets: the intervals are over images alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments.figures import dots, percent, sheet
from experiments.lectures.adversarial_training import noised, parted
from experiments.lectures.given import Named
from experiments.runner import Found, counted, each, run, says, tell
from surrogates.nets import logits


@dataclass(frozen=True)
class Settings(Named):
    arch: str = says("cnn", "of the classifiers")
    detector: str = says("cnn", "of the detectors")
    parts: tuple[int, ...] = says((900, 400, 300), "images for the defender, for the attacker, and attacked and looked at")
    eps: float = says(0.15, "Linf")
    alarms: float = says(0.05, "share of clean images that may raise an alarm")
    epochs: int = says(20, "of each net")
    steps: int = says(40, "of the attacks that know of the detector")
    tries: int = says(3, "wrong classes that they try, an image; the query attack tries one")
    budget: int = says(500, "queries of the query attacks, an image")
    queried: int = says(100, "images that they attack")


SEEN = ("fgsm", "pgd")  # what the detector learns from


def suspicion(detector: nn.Module, x: Tensor) -> Tensor:
    """[N]: how adversarial images look: the detector's logit of adversarial minus that of clean."""
    scores = logits(detector, x)
    return scores[:, 1] - scores[:, 0]


def rounded(values: Tensor) -> list[float]:
    return [round(v, 3) for v in values.tolist()]


def threshold(detector: nn.Module, clean: Tensor, alarms: float) -> float:
    """The least suspicion at which at most a share of ``clean``, images it was not trained on, raises an alarm.

    Raises:
        ValueError: a share outside [0, 1).
    """
    if not 0 <= alarms < 1:
        raise ValueError(f"Expected --alarms to be a share in [0, 1), but it was {alarms!r}.")
    scores = suspicion(detector, clean).sort(descending=True).values
    return float(scores[int(alarms * len(scores))])


class Guarded(nn.Module):
    """Classifier and detector as one model with C + 1 classes, the last of which is "rejected".

    Logit C is max_i Z_i + (suspicion - threshold), so that it leads exactly where the detector's alarm is raised, and
    the two losses are of one scale (Carlini & Wagner 2017, section 3.2, have max_i Z_i * (1 + suspicion), whose sign
    turns with that of the logits).
    """

    def __init__(self, classifier: nn.Module, detector: nn.Module, limit: float = 0.0) -> None:
        super().__init__()
        self.classifier, self.detector, self.limit = classifier, detector, limit

    def forward(self, x: Tensor) -> Tensor:
        z, d = self.classifier(x), self.detector(x)
        return torch.cat([z, (z.amax(1) + d[:, 1] - d[:, 0] - self.limit)[:, None]], 1)


def defended(s: Settings, data: sg.Dataset, seed: int) -> Guarded:
    """Classifier, detector and its threshold, from one party's images; a fifth is kept for the threshold."""
    parts = sg.split(data, {"learn": 0.8, "threshold": 0.2}, seed=seed)
    learn, n = parts["learn"], len(parts["learn"])
    recipe = sg.Recipe(epochs=s.epochs, optimiser="adam", lr=3e-3)
    net = sg.train(sg.build(s.arch, len(data.classes), data.shape, seed), learn, recipe, seed=seed)
    made = [sg.craft(net, learn.images, learn.labels, attack, threat=bb.Linf(s.eps), seed=seed) for attack in SEEN]
    # every image once clean and once changed, by the attacks in turn
    mixed = torch.where((torch.arange(n) % 2 == 0).view(-1, 1, 1, 1), made[0], made[1])
    told = torch.cat([torch.zeros(n, dtype=torch.int64), torch.ones(n, dtype=torch.int64)])
    both = sg.Dataset(torch.cat([learn.images, mixed]), told, ("clean", "adversarial"), "clean and adversarial")
    detector = sg.train(sg.build(s.detector, 2, data.shape, seed + 1), both, recipe, seed=seed + 1)
    return Guarded(net, detector, threshold(detector, parts["threshold"].images, s.alarms)).eval()


def blind(s: Settings, net: nn.Module, classes: int, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Attacks that do not know of the detector."""
    threat, n = bb.Linf(s.eps), s.queried
    out = {name: sg.craft(net, x, y, name, threat=threat, seed=s.seed) for name in (*SEEN, "mi-fgsm")}
    out["pgd, eps / 2"] = sg.craft(net, x, y, "pgd", threat=bb.Linf(s.eps / 2), seed=s.seed)
    out["deepfool"] = sg.minimum_norm.deepfool(net, x, y).x_adv
    oracle = bb.Oracle(net, "scores", classes)
    out["square"] = bb.attack(oracle, x[:n], y[:n], "square", threat, s.budget, seed=s.seed).x_adv
    return out


def towards(s: Settings, model: Guarded, x: Tensor, y: Tensor, attack: str) -> tuple[Tensor, Tensor]:
    """Of examples towards each of the likeliest wrong classes, those that lead in ``model`` by most: images, and the classes
    likeliest at first. The class "rejected" is never the goal."""
    order = logits(model.classifier, x).scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    best, most = x.clone(), torch.full((len(x),), -torch.inf)
    for goal in order[:, : s.tries].T:
        threat = bb.Linf(s.eps)
        made = sg.craft(model, x, y, attack, threat=threat, steps=s.steps, loss="margin", target=goal, seed=s.seed)
        scores = logits(model, made)
        lead = scores.gather(1, goal[:, None])[:, 0] - scores.scatter(1, goal[:, None], -torch.inf).amax(1)
        better = lead > most
        best[better], most[better] = made[better], lead[better]
    return best, order[:, 0]


def measure(s: Settings) -> Found:
    """Detection of blind attacks; success of those that fool both."""
    data = parted(s, "defender", "attacker", "test")
    both, own = defended(s, data["defender"], s.seed + 1), defended(s, data["attacker"], s.seed + 20)
    net, detector, limit, classes = both.classifier, both.detector, both.limit, len(data["test"].classes)
    x, y = data["test"].images, data["test"].labels
    clean, alarm = sg.predict(net, x) == y, suspicion(detector, x) > limit
    rows: dict[str, dict[str, Any]] = {}

    def record(name: str, made: Tensor, kind: str) -> None:
        n = len(made)
        doubt = suspicion(detector, made)
        wrong, calm = sg.predict(net, made) != y[:n], doubt <= limit
        fools = wrong & clean[:n]
        told = {
            "classifier fooled": each(wrong, clean[:n]), "noticed of these": each(~calm, fools),
            "both fooled": each(wrong & calm, clean[:n] & ~alarm[:n]),
        }  # fmt: skip
        rows[name] = {"kind": kind, **told, "suspicion": rounded(doubt[fools])}
        tell({"attack": name, **{what: counted(hit) for what, hit in told.items()}})

    for name, images in blind(s, net, classes, x, y).items():
        record(name, images, "seen" if name in SEEN else "unseen")
    noisy = suspicion(detector, noised(x, s.eps, s.seed)) > limit
    false = {"clean": each(alarm), "uniform noise": each(noisy)}
    # no random start: the detector takes noise for an attack, and PGD's start is noise
    aware, goal = towards(s, both, x, y, "i-fgsm")
    record("i-fgsm that knows both", aware, "aware")
    record("transferred from own pair", towards(s, own, x, y, "mi-fgsm")[0], "aware")
    n, oracle = s.queried, bb.Oracle(both, "scores", classes + 1)
    asked = bb.attack(oracle, x[:n], y[:n], "square", bb.Linf(s.eps), s.budget, target=goal[:n], seed=s.seed)
    record(f"square on both, {s.budget:,} queries", asked.x_adv, "aware")
    tell({"alarms": "", **{what: counted(hit) for what, hit in false.items()}})
    return {
        "right": each(clean), "threshold": limit, "alarms": false, "attacks": rows,
        "suspicion of clean": rounded(suspicion(detector, x)), "eps": s.eps, "arch": s.arch,
        "data": data["test"].name.partition("/")[0], "mean queries": asked.mean_queries,
    }, None  # fmt: skip


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Above: fooled, and fooled unnoticed, attack by attack. Below: what the detector sees. Narrow enough for a telephone."""
    rows = found["attacks"]
    right, false, noisy = (percent(counted(v))[0] for v in (found["right"], *found["alarms"].values()))
    under = (
        f"{found['data']}, {found['arch']}, Linf {found['eps']:g}; {right:.0f} % right clean\n"
        f"false alarms: {false:.0f} % of clean images, {noisy:.0f} % of noisy ones"
    )
    height = 5.4 + 0.36 * len(rows)
    with sheet(path, "A detector, and attacks that fool both", under, 5.4, height, rows=2) as (made, ((left,), (seen,))):
        dots(left, [f"{n}{' *' if r['kind'] == 'seen' else ''}" for n, r in rows.items()], {
            "no alarm either, of those right and quiet clean": [counted(r["both fooled"]) for r in rows.values()],
            "classifier fooled, of those right": [counted(r["classifier fooled"]) for r in rows.values()],
        })  # fmt: skip
        border = sum(r["kind"] == "aware" for r in rows.values()) - 0.5
        left.axhline(border, color=style.PALE, linewidth=0.8)
        for word, shift, align in (("blind", 0.08, "bottom"), ("knows of a detector", -0.08, "top")):
            left.text(101, border + shift, word, fontsize=8, color=style.PALE, ha="right", va=align)
        left.set(xlim=(-2, 102), xlabel="%, 95 % Wilson (* the detector learned from these)")
        made.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=1)
        groups = {"clean images": found["suspicion of clean"]}
        groups |= {k: rows[k]["suspicion"] for k in ("pgd", "square", "i-fgsm that knows both") if rows[k]["suspicion"]}
        edges = np.linspace(*np.quantile(np.concatenate(list(groups.values())), [0.005, 0.995]), 36)
        for (name, group), i in zip(groups.items(), (4, 1, 2, 0), strict=False):
            share = 100 * np.histogram(np.clip(group, edges[0], edges[-1]), edges)[0] / len(group)
            seen.stairs(share, edges, color=style.COLOURS[i], linewidth=1.6, label=name)
            seen.stairs(share, edges, color=style.COLOURS[i], alpha=0.15, fill=True)
        seen.axvline(found["threshold"], color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
        seen.text(found["threshold"], seen.get_ylim()[1] * 0.99, " alarm →", fontsize=8, va="top")
        seen.set(xlabel="suspicion: logit of adversarial − logit of clean", ylabel="share of the images that fool, %")
        seen.legend(loc="upper right")
    return path


if __name__ == "__main__":
    run(Settings, measure, draw)

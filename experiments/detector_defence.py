"""Can a second net tell adversarial images from clean ones? And what if the attacker knows of it?

    python -m experiments.detector_defence
    python -m experiments.detector_defence --data npz:../shared/data/mnist_test.npz --eps 0.2

A classifier, and a detector (Metzen et al. 2017, arXiv:1702.04267) trained on clean images and on FGSM and PGD examples of the
classifier; its threshold lets at most --alarms of the clean images (others than it learned from) raise an alarm. First: how many
of the examples that fool the classifier does it notice, by attack, also by attacks it never saw? Then attacks on both at once,
as one model with a class "rejected" (Carlini & Wagner 2017, arXiv:1705.07263): I-FGSM towards each of the likeliest wrong
classes, on the model's own gradients; on a classifier and detector that the attacker trained on own images; and a query attack
on its scores. An image counts as fooled where the label is wrong *and* no alarm is raised; of the images the classifier
has right and without alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import given, picture
from experiments.given import says
from experiments.studies.detector import Guarded, suspicion, threshold, train_detector
from surrogates.crafting.minimum_norm import deepfool
from surrogates.nets.predict import logits


@dataclass(frozen=True)
class Settings(given.Named):
    arch: str = says("cnn", "of the classifiers")
    detector: str = says("cnn", "of the detectors")
    parts: tuple[int, ...] = says(
        (900, 400, 300), "images for the defender, for the attacker, and attacked and looked at"
    )
    eps: float = says(0.15, "Linf")
    alarms: float = says(0.05, "share of clean images that may raise an alarm")
    epochs: int = says(20, "of each net")
    steps: int = says(40, "of the attacks that know of the detector")
    tries: int = says(3, "wrong classes that they try, an image; the query attack tries one")
    budget: int = says(500, "queries of the query attacks, an image")
    queried: int = says(100, "images that they attack")


SEEN = ("fgsm", "pgd")  # what the detector learns from


def defended(settings: Settings, data: sg.Dataset, seed: int) -> tuple[nn.Module, nn.Module, float]:
    """Classifier, detector and its threshold, from one party's images; a fifth is kept for the threshold."""
    parts = sg.split(data, {"learn": 0.8, "threshold": 0.2}, seed=seed)
    learn, classes = parts["learn"], len(data.classes)
    recipe = sg.Recipe(epochs=settings.epochs, optimiser="adam", lr=3e-3)
    net = sg.train(sg.build(settings.arch, classes, data.shape, seed), learn, recipe, seed=seed)
    threat = bb.Linf(settings.eps)
    made = [sg.craft(net, learn.images, learn.labels, attack, threat=threat, seed=seed) for attack in SEEN]
    # every image once clean and once changed, by the attacks in turn
    mixed = torch.where((torch.arange(len(learn)) % 2 == 0).view(-1, 1, 1, 1), made[0], made[1])
    detector = train_detector(
        sg.build(settings.detector, 2, data.shape, seed + 1), learn.images, mixed, recipe, seed=seed + 1
    )
    return net, detector, threshold(detector, parts["threshold"].images, settings.alarms)


def blind(settings: Settings, net: nn.Module, classes: int, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Attacks that do not know of the detector, and noise."""
    threat = bb.Linf(settings.eps)
    out = {name: sg.craft(net, x, y, name, threat=threat, seed=settings.seed) for name in SEEN}
    out["mi-fgsm"] = sg.craft(net, x, y, "mi-fgsm", threat=threat, seed=settings.seed)
    half = bb.Linf(settings.eps / 2)
    out["pgd, eps / 2"] = sg.craft(net, x, y, "pgd", threat=half, seed=settings.seed)
    out["deepfool"] = deepfool(net, x, y).x_adv
    n = min(settings.queried, len(x))
    oracle = bb.Oracle(net, "scores", classes)
    out["square"] = bb.attack(oracle, x[:n], y[:n], "square", threat, settings.budget, seed=settings.seed).x_adv
    return out


def measure(settings: Settings) -> given.Found:
    """Detection of blind attacks; success of those that fool both."""
    if len(settings.parts) != 3:
        raise ValueError(f"Expected --parts with three numbers of images, but it was {settings.parts}.")
    data = sg.split(
        sg.load(settings.data),
        dict(zip(("defender", "attacker", "test"), settings.parts, strict=True)),
        seed=settings.seed,
    )
    classes, threat = len(data["test"].classes), bb.Linf(settings.eps)
    net, detector, limit = defended(settings, data["defender"], settings.seed + 1)
    own = Guarded(*defended(settings, data["attacker"], settings.seed + 20)).eval()
    both = Guarded(net, detector, limit).eval()
    x, y = data["test"].images, data["test"].labels
    clean = sg.predict(net, x) == y
    alarm = suspicion(detector, x) > limit
    rows: dict[str, dict[str, Any]] = {}

    def record(name: str, made: Tensor, kind: str) -> None:
        wrong, noticed = sg.predict(net, made) != y[: len(made)], suspicion(detector, made) > limit
        right, calm = clean[: len(made)], ~alarm[: len(made)]
        fools = wrong & right
        rows[name] = {
            "kind": kind,
            "classifier fooled": _rate(wrong, right), "noticed of these": _rate(noticed, fools),
            "both fooled": _rate(wrong & ~noticed, right & calm), "suspicion": suspicion(detector, made)[fools].tolist(),
        }  # fmt: skip
        told = {
            k: str(bb.Rate(*v))
            for k, v in rows[name].items()
            if isinstance(v, list) and len(v) == 2 and k != "suspicion"
        }
        print(f"{name:34}" + "; ".join(f"{k} {v}" for k, v in told.items()), flush=True)

    made = blind(settings, net, classes, x, y)
    for name, images in made.items():
        record(name, images, "seen" if name in SEEN else "unseen")
    noise = (
        x + settings.eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(settings.seed)) - 1)
    ).clamp(0, 1)
    false = {"clean": _rate(alarm), "uniform noise": _rate(suspicion(detector, noise) > limit)}
    # no random start: the detector takes noise for an attack, and PGD's start is noise
    aware, goal = towards(settings, both, x, y, "i-fgsm")
    record("i-fgsm that knows both", aware, "aware")
    record("transferred from own pair", towards(settings, own, x, y, "mi-fgsm")[0], "aware")
    n = min(settings.queried, len(x))
    asked = bb.attack(
        bb.Oracle(both, "scores", classes + 1),
        x[:n],
        y[:n],
        "square",
        threat,
        settings.budget,
        target=goal[:n],
        seed=settings.seed,
    )
    record(f"square on both, {settings.budget:,} queries", asked.x_adv, "aware")
    found = {
        "accuracy": _rate(clean), "threshold": limit, "alarms": false, "attacks": rows,
        "suspicion of clean": suspicion(detector, x).tolist(), "eps": settings.eps, "arch": settings.arch,
        "data": data["test"].name.partition("/")[0],
        "mean queries": asked.mean_queries,
    }  # fmt: skip
    print(f"alarms: {bb.Rate(*false['clean'])} of clean images, {bb.Rate(*false['uniform noise'])} of noise")
    return found, None


def towards(settings: Settings, model: Guarded, x: Tensor, y: Tensor, attack: str) -> tuple[Tensor, Tensor]:
    """Of examples towards each of the likeliest wrong classes, those that lead in ``model`` by most: images, and the classes
    likeliest at first. The class "rejected" is never the goal."""
    order = logits(model.classifier, x).scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    best, most = x.clone(), torch.full((len(x),), -torch.inf)
    for goal in order[:, : settings.tries].T:
        made = sg.craft(
            model,
            x,
            y,
            attack,
            threat=bb.Linf(settings.eps),
            steps=settings.steps,
            loss="margin",
            target=goal,
            seed=settings.seed,
        )
        scores = logits(model, made)
        lead = scores.gather(1, goal[:, None])[:, 0] - scores.scatter(1, goal[:, None], -torch.inf).amax(1)
        better = lead > most
        best[better], most[better] = made[better], lead[better]
    return best, order[:, 0]


def _rate(hit: Tensor, among: Tensor | None = None) -> list[int]:
    rate = bb.Rate.of(hit.numpy(), None if among is None else among.numpy())
    return [rate.k, rate.n]


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Left: fooled, and fooled unnoticed, attack by attack. Right: what the detector sees."""
    import numpy as np

    from blackbox.report import style

    rows = found["attacks"]
    width, height = 11.4, 1.75 + 0.36 * len(rows)
    made = style.figure(width, height)
    axes = made.add_axes((2.35 / width, 0.6 / height, 4.3 / width, (height - 1.5) / height))
    for j, (_, row) in enumerate(rows.items()):
        at = len(rows) - 1 - j
        for key, shift, colour, mark, name in (
            ("classifier fooled", 0.13, style.COLOURS[1], "o", "classifier fooled, of those right"),
            ("both fooled", -0.13, style.COLOURS[0], "D", "and no alarm, of those right and quiet clean"),
        ):
            rate = bb.Rate(*row[key])
            axes.plot([100 * rate.low, 100 * rate.high], [at + shift] * 2, color=colour, linewidth=1.4)
            axes.plot(
                [100 * rate.value], [at + shift], mark, color=colour, markersize=5.5, label=name if j == 0 else None
            )
    style.clean(axes)
    names = [f"{n}{' *' if r['kind'] == 'seen' else ''}" for n, r in rows.items()]
    axes.set_yticks(range(len(rows)), list(reversed(names)))
    split = sum(r["kind"] == "aware" for r in rows.values())
    axes.axhline(split - 0.5, color=style.PALE, linewidth=0.8)
    axes.text(101, split - 0.42, "blind", fontsize=8, color=style.PALE, ha="right", va="bottom")
    axes.text(101, split - 0.58, "knows of a detector", fontsize=8, color=style.PALE, ha="right", va="top")
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("%, 95 % Wilson (* the detector learned from these)", fontsize=9, color=style.INK)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8.5)
    right = made.add_axes((7.2 / width, 0.6 / height, 4.0 / width, (height - 1.5) / height))
    clean = np.asarray(found["suspicion of clean"])
    groups = {
        "clean images": clean,
        **{k: np.asarray(rows[k]["suspicion"]) for k in ("pgd", "square", "i-fgsm that knows both") if k in rows},
    }
    values = np.concatenate([g for g in groups.values() if len(g)])
    edges = np.linspace(*np.quantile(values, [0.005, 0.995]), 36)
    for (name, group), colour in zip(
        groups.items(), (style.COLOURS[4], style.COLOURS[1], style.COLOURS[2], style.COLOURS[0]), strict=False
    ):
        if len(group):
            share = np.histogram(np.clip(group, edges[0], edges[-1]), edges)[0] / len(group)
            right.stairs(100 * share, edges, color=colour, linewidth=1.6, label=name, fill=False)
            right.stairs(100 * share, edges, color=colour, alpha=0.15, fill=True)
    right.axvline(found["threshold"], color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    right.text(found["threshold"], right.get_ylim()[1] * 0.99, " alarm →", fontsize=8, color=style.INK, va="top")
    style.clean(right)
    right.set_xlabel("suspicion: logit of adversarial − logit of clean", fontsize=9, color=style.INK)
    right.set_ylabel("share of the images that fool, %", fontsize=9, color=style.INK)
    right.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none", fontsize=8)
    false = bb.Rate(*found["alarms"]["clean"])
    noisy = bb.Rate(*found["alarms"]["uniform noise"])
    under = (
        f"{found['data']}, {found['arch']}, Linf {found['eps']:g}; {100 * bb.Rate(*found['accuracy']).value:.0f} % right clean; "
        f"false alarms on {100 * false.value:.0f} % of clean images, on {100 * noisy.value:.0f} % of noisy ones"
    )
    style.heading(made, "A detector, and attacks that fool both", under, height)
    return picture.save(made, path)


if __name__ == "__main__":
    given.run("detector_defence", Settings, str(__doc__), measure, draw)

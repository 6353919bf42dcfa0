"""FGSM, PGD, C&W, DeepFool, JSMA and the black-box attacks side by side, measured instead of described.

For each attack: how many of the images that the model has right it fools (95 % Wilson), within eps where it keeps to a ball, at
any distance where it looks for the nearest example; the median distances of those it fools in three norms; what it needs:
gradients, or queries (a failure counts with all it spent); CPU time over that of FGSM, the process's own, so that other
programs do not count. White box: gradients of the model. Transfer: gradients of a surrogate, no query. Black box: scores or
labels alone. A single image gives a gallery instead of intervals. JSMA looks at single entries where pairs would be too
many; of more than 100 classes DeepFool and JSMA look at the runner-up alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments.figures import percent, place, sheet
from experiments.lectures.given import Seen, Subject, see, surrogate
from experiments.runner import Found, count, run, says, tell
from surrogates.nets import logits

MANY = 100  # classes


@dataclass(frozen=True)
class Settings(Subject):
    images: int = says(50, "how many of the data's images that the model has right")
    index: int = says(0, "which of them the gallery shows")
    eps: float = says(0.15, "Linf, of the attacks that keep to a ball")
    steps: int = says(20, "of PGD and MI-FGSM")
    iterations: int = says(100, "of C&W for each weight")
    searches: int = says(4, "weights that C&W tries")
    weight: float = says(1.0, "the first of them (the authors': 0.001)")
    rate: float = says(0.05, "of C&W's Adam (the authors': 0.01, for ten times the iterations)")
    share: float = says(0.145, "of the entries that JSMA may change")
    budget: int = says(500, "queries an image")
    surrogate: str | None = says(None, "spec of a net for the transfer row [digits:mlp for digits]")
    scores: tuple[str, ...] = says(("square", "nes", "fd-fgsm"), "query attacks on scores")
    labels: tuple[str, ...] = says(("rays", "hop-skip-jump"), "query attacks on labels")


Attack = Callable[[Tensor, Tensor], tuple[Tensor, float, float]]  # examples [n, *shape]; gradients and queries an image


def attacks(s: Settings, seen: Seen) -> dict[str, tuple[str, str, Attack]]:
    """Name -> (what it needs, what limits it, the attack)."""
    threat, ball, nearest = bb.Linf(s.eps), f"Linf {s.eps:.3g}", "nearest"
    out: dict[str, tuple[str, str, Attack]] = {}

    def crafted(net: nn.Module, name: str, cost: int, **more: Any) -> Attack:
        return lambda x, y: (sg.craft(net, x, y, name, threat=threat, seed=s.seed, **more), cost, 0.0)

    def smallest(attack: Callable[..., sg.minimum_norm.MinimumNorm], **more: Any) -> Attack:
        def made(x: Tensor, y: Tensor) -> tuple[Tensor, float, float]:
            found = attack(net, x, y, **more)
            return found.x_adv, float(found.gradients.double().mean()), 0.0

        return made

    def asked(name: str, access: str, within: bb.Threat) -> Attack:
        def made(x: Tensor, y: Tensor) -> tuple[Tensor, float, float]:
            found = bb.attack(seen.oracle(access), x, y, name, within, s.budget, seed=s.seed)
            images = torch.where(found.success.view(-1, 1, 1, 1), found.x_adv, x)
            return images, 0.0, float(found.queries.double().mean())

        return made

    net = seen.model.net
    if net is not None:
        # the nearest class is found by a gradient a class; of very many, the runner-up stands for it
        scores = logits(net, seen.images).scatter(1, seen.labels[:, None], -math.inf)
        goal = scores.argmax(1) if scores.shape[1] > MANY else None
        cw = {"iterations": s.iterations, "searches": s.searches, "c": s.weight, "learning_rate": s.rate}
        one = {"target": goal, "gamma": s.share, "pairs": seen.images[0].numel() <= 8192, "candidates": 1}
        out["FGSM"] = ("white box", ball, crafted(net, "fgsm", 1))
        out["PGD"] = ("white box", ball, crafted(net, "pgd", s.steps, steps=s.steps))
        out["DeepFool"] = ("white box", nearest, smallest(sg.minimum_norm.deepfool, target=goal))
        out["C&W"] = ("white box", nearest, smallest(sg.minimum_norm.carlini_wagner, **cw))
        out["JSMA"] = ("white box", nearest, smallest(sg.minimum_norm.jsma, **one))
    other = surrogate(s, s.surrogate, seen)
    if other:
        out["MI-FGSM on a surrogate"] = ("transfer", ball, crafted(other.net, "mi-fgsm", s.steps, steps=s.steps))
    for access, names in (("scores", s.scores), ("labels", s.labels)):
        for name in names:
            kind = bb.attacks.get(name)
            free = kind.minimises and "L2" in kind.norms
            limit, within = (nearest, bb.L2(math.inf)) if free else (ball, threat)
            out[name] = (access, limit, asked(name, access, within))
    return out


def row_of(made: Tensor, seen: Seen) -> dict[str, Any]:
    """Success by the model's own labels, distances of the successes."""
    said = seen.probabilities(made)
    success = said.argmax(1) != seen.labels
    change = (made - seen.images).flatten(1)
    far = {"Linf": change.abs().amax(1), "L2": change.norm(dim=1), "L0": 100 * (change != 0).double().mean(1)}
    return {
        "success": count(success),
        **{k: float(v[success].median()) if bool(success.any()) else None for k, v in far.items()},
        "label": seen.class_name(int(said[0].argmax())), "confidence": float(said[0].max()),
    }  # fmt: skip


def measure(s: Settings) -> Found:
    """A row an attack."""
    everything = see(s)
    if not everything.file and s.images < 1:
        raise ValueError(f"Expected --images of at least 1, but it was {s.images}.")
    seen = everything if everything.file else everything.take(s.images)
    at = min(s.index, len(seen.images) - 1)
    rows: dict[str, Any] = {}
    shown: dict[str, Tensor] = {}
    for name, (needs, limit, attack) in attacks(s, seen).items():
        for _ in range(1 if rows else 3):  # the first is the yardstick of all times; its first call warms up
            begun = time.process_time()
            made, gradients, asked = attack(seen.images, seen.labels)
            seconds = time.process_time() - begun
        price = {"gradients": gradients, "queries": asked, "seconds": seconds}
        row = rows[name] = {"needs": needs, "limit": limit, **row_of(made, seen), **price}
        row["time"] = seconds / max(next(iter(rows.values()))["seconds"], 1e-9)
        shown[name] = made[at]
        tell({"attack": name, **row})
    found = {"model": seen.model.name, "yardstick": next(iter(rows)), "eps": s.eps, "rows": rows,
             "leaves": seen.class_name(int(seen.labels[0])), "images": len(seen.labels)}  # fmt: skip
    return found, {"clean": seen.images[at], "made": shown}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Many images: four panels with a line an attack. One image: what each attack made of it."""
    return (_gallery if found["images"] == 1 else _panels)(found, shown, path)


def _gallery(found: dict[str, Any], shown: Any, path: Path) -> Path:
    clean, names = shown["clean"], list(found["rows"])
    down = -(-len(names) // 5)
    what = f"{found['model']}, {found['leaves']}; ball: Linf {found['eps']:.3g}"
    under = f"{what}; under each image its change, stretched; time over {found['yardstick']}'s; red frame: fooled"
    height = 0.7 + down * (4.2 * clean.shape[1] / clean.shape[2] + 1.1)
    with sheet(path, "What each attack makes of one photograph", under, 10.9, height, 2 * down, 5) as (_, axes):
        for unused in axes[-2:, len(names) - 5 * (down - 1) :].flat:
            unused.remove()
        for i, (name, row) in enumerate(found["rows"].items()):
            above, below, won = axes[2 * (i // 5), i % 5], axes[2 * (i // 5) + 1, i % 5], row["success"][0] > 0
            colour = style.COLOURS[0 if won else 1]
            place(above, shown["made"][name], frame=colour)
            above.set_title(f"{name} ({row['needs']})", fontsize=8.5)
            place(below, shown["made"][name] - clean, difference=True)
            price = f"{row['queries']:,.0f} queries" if row["queries"] else f"gradients: {row['gradients']:,.0f}"
            far = f"Linf {row['Linf']:.2g}, L2 {row['L2']:.2g}, {row['L0']:.0f} % changed" if won else "not fooled"
            told = f"{row['label']}, {100 * row['confidence']:.0f} %\n{far}\n{price}, time × {row['time']:.3g}"
            below.set_xlabel(told, fontsize=7.5, color=colour)
    return path


def _panels(found: dict[str, Any], shown: Any, path: Path) -> Path:
    rows = found["rows"]
    names = list(reversed(rows))
    colours = dict(zip(("white box", "transfer", "scores", "labels"), (style.COLOURS[i] for i in (1, 4, 0, 2)), strict=True))
    what = f"{found['model']}, the same {found['images']} images"
    under = f"{what}; in brackets what limits the attack; medians over those fooled, prices over all"
    height = 1.75 + 0.36 * len(names)
    with sheet(path, "Attacks side by side, measured", under, 12.6, height, columns=4, sharey=True) as (made, (axes,)):
        for at, name in enumerate(names):
            row, colour = rows[name], colours[rows[name]["needs"]]
            middle, low, high = percent(row["success"])
            axes[0].plot([low, high], [at, at], color=colour)
            axes[0].plot(middle, at, "o", color=colour)
            if row["Linf"] is not None:
                axes[1].plot(row["Linf"], at, "s", color=colour, markerfacecolor="white")
                axes[1].plot(row["L2"], at, "o", color=colour)
            price, face = (row["queries"], "white") if row["queries"] else (row["gradients"], colour)
            for panel, value, least, mark, fill in (
                (axes[2], price, 1, "D" if row["queries"] else "o", face),
                (axes[3], row["time"], 0.5, "o", colour),
            ):
                panel.plot(max(value, least), at, mark, color=colour, markerfacecolor=fill)
                where = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 7.5, "color": style.PALE}
                panel.annotate(f"{value:,.0f}", (max(value, least), at), **where)
        axes[0].set_yticks(range(len(names)), [f"{n}  ({rows[n]['limit']})" for n in names])
        axes[0].set_xlim(-2, 103)
        for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
            tick.set_color(colours[rows[name]["needs"]])
        for panel, label in zip(axes, ("fooled, % (95 % Wilson)", "median distance: □ Linf, ● L2",
                                       "● gradients, ◇ queries an image", f"CPU time over {found['yardstick']}'s"),
                                strict=True):  # fmt: skip
            panel.set_xlabel(label)
        for panel in axes[1:]:
            panel.set_xscale("log")
            panel.margins(x=0.15)
            panel.tick_params(axis="x", which="minor", labelbottom=False)
        handles = [made.gca().plot([], [], "o", color=c, label=n)[0] for n, c in colours.items()]
        made.legend(handles=handles, loc="upper right", ncols=4, fontsize=9)
    return path


if __name__ == "__main__":
    run(Settings, measure, draw)

"""FGSM, PGD, C&W, DeepFool, JSMA and the black-box attacks side by side, measured instead of described.

    python -m experiments.attack_comparison                 # 50 digits
    python -m experiments.attack_comparison --image dog.jpg --model torchvision:squeezenet1_0:w.safetensors \\
        --class-names classes.txt --mean 0 --std 1 --eps 1/255 --iterations 30 --searches 3 --budget 300

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
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox import specs
from blackbox.cli import options
from experiments import given, picture
from experiments.given import Seen, says
from surrogates.crafting.minimum_norm import MinimumNorm, carlini_wagner, deepfool, jsma
from surrogates.nets.predict import logits

MANY = 100  # classes


@dataclass(frozen=True)
class Settings(given.Subject):
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


@dataclass(frozen=True)
class Made:
    """What an attack made of n images: x [n, \\*shape], gradients or queries an image [n]."""

    x: Tensor
    gradients: float = 0.0
    queries: float = 0.0


Attack = Callable[[Tensor, Tensor], Made]


def attacks(settings: Settings, seen: Seen) -> dict[str, tuple[str, str, Attack]]:
    """Name -> (what it needs, what limits it, the attack)."""
    threat, seed = bb.Linf(settings.eps), settings.seed
    ball, nearest = f"Linf {settings.eps:.3g}", "nearest"
    out: dict[str, tuple[str, str, Attack]] = {}

    def crafted(net: torch.nn.Module, name: str, cost: int, **more: Any) -> Attack:
        return lambda x, y: Made(sg.craft(net, x, y, name, threat=threat, seed=seed, **more), cost)

    def smallest(run: Callable[[Tensor, Tensor], MinimumNorm]) -> Attack:
        def attack(x: Tensor, y: Tensor) -> Made:
            found = run(x, y)
            return Made(found.x_adv, float(found.gradients.double().mean()))

        return attack

    def asked(name: str, access: str) -> Attack:
        def attack(x: Tensor, y: Tensor) -> Made:
            minimises = getattr(bb.attacks.get(name), "minimises", False) and "L2" in bb.attacks.get(name).norms
            within = bb.L2(math.inf) if minimises else threat
            found = bb.attack(seen.oracle(access), x, y, name, within, settings.budget, seed=seed)
            return Made(
                torch.where(found.success.view(-1, 1, 1, 1), found.x_adv, x),
                queries=float(found.queries.double().mean()),
            )

        return attack

    net = seen.model.net
    if net is not None:
        pairs = seen.images[0].numel() <= 8192
        # the nearest class is found by a gradient a class; of very many, the runner-up stands for it
        scores = logits(net, seen.images).scatter(1, seen.labels[:, None], -math.inf)
        goal = scores.argmax(1) if scores.shape[1] > MANY else None
        out["FGSM"] = ("white box", ball, crafted(net, "fgsm", 1))
        out["PGD"] = ("white box", ball, crafted(net, "pgd", settings.steps, steps=settings.steps))
        out["DeepFool"] = ("white box", nearest, smallest(lambda x, y: deepfool(net, x, y, target=goal)))
        out["C&W"] = (
            "white box",
            nearest,
            smallest(
                lambda x, y: carlini_wagner(
                    net,
                    x,
                    y,
                    iterations=settings.iterations,
                    searches=settings.searches,
                    c=settings.weight,
                    learning_rate=settings.rate,
                )
            ),
        )
        out["JSMA"] = (
            "white box",
            nearest,
            smallest(lambda x, y: jsma(net, x, y, target=goal, gamma=settings.share, pairs=pairs, candidates=1)),
        )
    spec = settings.surrogate or ("digits:mlp" if settings.data == "digits" and not seen.file else None)
    if spec:
        nets = options.Nets(mean=settings.mean, std=settings.std)
        other = specs.one_model(spec, sg.Dataset(seen.images, seen.labels, seen.classes), len(seen.classes), nets).net
        if other is None:
            raise ValueError(f"Expected --surrogate to be a net, but {spec} has no gradients.")
        out["MI-FGSM on a surrogate"] = (
            "transfer",
            ball,
            crafted(other, "mi-fgsm", settings.steps, steps=settings.steps),
        )
    for access, names in (("scores", settings.scores), ("labels", settings.labels)):
        for name in names:
            kind = bb.attacks.get(name)
            free = getattr(kind, "minimises", False) and "L2" in kind.norms
            out[name] = (access, nearest if free else ball, asked(name, access))
    return out


def row_of(made: Made, seconds: float, seen: Seen) -> dict[str, Any]:
    """Success by the model's own labels, distances of the successes, price."""
    said = seen.probabilities(made.x)
    success = said.argmax(1) != seen.labels
    change = (made.x - seen.images).flatten(1)
    far = {"Linf": change.abs().amax(1), "L2": change.norm(dim=1), "L0": 100 * (change != 0).double().mean(1)}
    return {
        "success": [int(success.sum()), len(success)],
        **{k: float(v[success].median()) if bool(success.any()) else None for k, v in far.items()},
        "gradients": made.gradients, "queries": made.queries, "seconds": seconds,
        "label": int(said[0].argmax()), "confidence": float(said[0].max()),
    }  # fmt: skip


def measure(settings: Settings) -> given.Found:
    """A row an attack."""
    everything = given.see(settings)
    if not everything.file and settings.images < 1:
        raise ValueError(f"Expected --images of at least 1, but it was {settings.images}.")
    seen = everything if everything.file else everything.take(settings.images)
    rows: dict[str, Any] = {}
    shown: dict[str, Tensor] = {}
    for name, (needs, limit, attack) in attacks(settings, seen).items():
        repeats = 3 if name == "FGSM" else 1  # the yardstick of all times; the first call warms up
        for _ in range(repeats):
            begun = time.process_time()
            made = attack(seen.images, seen.labels)
            seconds = time.process_time() - begun
        rows[name] = {"needs": needs, "limit": limit, **row_of(made, seconds, seen)}
        rows[name]["label"] = seen.class_name(rows[name]["label"])
        at = min(settings.index, len(made.x) - 1)
        shown[name] = made.x[at]
        base = next(iter(rows.values()))["seconds"]
        rows[name]["time"] = seconds / max(base, 1e-9)
        r = rows[name]
        print(f"{name:24}{needs:10}{limit:14}{bb.Rate(*r['success'])!s:26}"
              + "  ".join(f"{k} {r[k]:.3g}" if r[k] is not None else f"{k} –" for k in ("Linf", "L2", "L0"))
              + f"  gradients {r['gradients']:.0f}  queries {r['queries']:.0f}  time x {r['time']:.1f}", flush=True)  # fmt: skip
    found = {"model": seen.model.name, "yardstick": next(iter(rows)), "eps": settings.eps, "rows": rows,
             "leaves": seen.class_name(int(seen.labels[0])), "images": len(seen.labels)}  # fmt: skip
    return found, {"clean": seen.images[min(settings.index, len(seen.images) - 1)], "made": shown}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Many images: four panels with a line an attack. One image: what each attack made of it."""
    return _gallery(found, shown, path) if found["images"] == 1 else _panels(found, path)


def _gallery(found: dict[str, Any], shown: Any, path: Path) -> Path:
    from blackbox.report import style

    rows, clean = found["rows"], shown["clean"]
    across = 5
    names = list(rows)
    down = -(-len(names) // across)
    cell, tall = 2.0, 2.0 * clean.shape[1] / clean.shape[2]
    block = 2 * tall + 1.15
    width, height = across * (cell + 0.12) + 0.3, 0.75 + down * block
    made = style.figure(width, height)
    for i, name in enumerate(names):
        row, left = rows[name], 0.2 + (i % across) * (cell + 0.12)
        top = height - 0.95 - (i // across) * block
        won = row["success"][0] > 0
        colour = style.COLOURS[0] if won else style.COLOURS[1]
        above = made.add_axes((left / width, (top - tall) / height, cell / width, tall / height))
        picture.place(above, shown["made"][name], frame=colour)
        above.set_title(f"{name} ({row['needs']})", fontsize=8.5, color=style.INK, pad=3)
        below = made.add_axes((left / width, (top - 2 * tall - 0.06) / height, cell / width, tall / height))
        picture.place(below, shown["made"][name] - clean, difference=True)
        price = (
            f"{row['queries']:,.0f} queries"
            if row["queries"]
            else f"{row['gradients']:,.0f} gradient{'s' if row['gradients'] != 1 else ''}"
        )
        far = f"Linf {row['Linf']:.2g}, L2 {row['L2']:.2g}, {row['L0']:.0f} % changed" if won else "not fooled"
        told = f"{row['label']}, {100 * row['confidence']:.0f} %\n{far}\n{price}, time × {row['time']:.3g}"
        below.set_xlabel(told, fontsize=7.5, color=colour, labelpad=3)
    what = f"{found['model']}, {found['leaves']}; ball: Linf {found['eps']:.3g}"
    under = f"{what}; under each image its change, stretched; time over {found['yardstick']}'s; red frame: fooled"
    style.heading(made, "What each attack makes of one photograph", under, height)
    return picture.save(made, path)


def _panels(found: dict[str, Any], path: Path) -> Path:
    from blackbox.report import style

    rows = found["rows"]
    names = list(rows)
    width, height = 12.6, 1.75 + 0.36 * len(names)
    made = style.figure(width, height)
    colours = {
        "white box": style.COLOURS[1],
        "transfer": style.COLOURS[4],
        "scores": style.COLOURS[0],
        "labels": style.COLOURS[2],
    }
    places = ((2.35, 2.3), (4.95, 2.2), (7.45, 2.35), (10.1, 2.3))
    panels = [made.add_axes((x / width, 0.62 / height, w / width, (height - 1.6) / height)) for x, w in places]
    y = {name: len(names) - 1 - i for i, name in enumerate(names)}
    for name, row in rows.items():
        colour, at = colours[row["needs"]], y[name]
        rate = bb.Rate(*row["success"])
        panels[0].plot([100 * rate.low, 100 * rate.high], [at, at], color=colour, linewidth=1.6)
        panels[0].plot([100 * rate.value], [at], "o", color=colour, markersize=6)
        if row["Linf"] is not None:
            for norm, mark, scale in (("Linf", "s", 1.0), ("L2", "o", 1.0)):
                panels[1].plot(
                    [row[norm] * scale],
                    [at],
                    mark,
                    color=colour,
                    markersize=6,
                    markerfacecolor=colour if mark == "o" else "white",
                )
        price, mark = (row["queries"], "D") if row["queries"] else (row["gradients"], "o")
        panels[2].plot(
            [max(price, 1)], [at], mark, color=colour, markersize=6, markerfacecolor="white" if mark == "D" else colour
        )
        panels[2].annotate(
            f"{price:,.0f}",
            (max(price, 1), at),
            xytext=(6, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=style.PALE,
        )
        panels[3].plot([max(row["time"], 0.5)], [at], "o", color=colour, markersize=6)
        panels[3].annotate(
            f"{row['time']:,.0f}",
            (max(row["time"], 0.5), at),
            xytext=(6, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=style.PALE,
        )
    for axes, label in zip(
        panels,
        (
            "fooled, % (95 % Wilson)",
            "median distance: □ Linf, ● L2",
            "● gradients, ◇ queries an image",
            f"CPU time over {found['yardstick']}'s",
        ),
        strict=True,
    ):
        style.clean(axes)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), [""] * len(names))
        axes.set_xlabel(label, fontsize=9, color=style.INK)
    panels[0].set_yticklabels([f"{n}  ({rows[n]['limit']})" for n in reversed(names)], fontsize=8.5)
    for tick, name in zip(panels[0].get_yticklabels(), reversed(names), strict=True):
        tick.set_color(colours[rows[name]["needs"]])
    panels[0].set_xlim(-2, 103)
    for axes in panels[1:]:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.3, high * 2)
    low, high = panels[1].get_xlim()
    ticks = [m * 10.0**e for e in range(-5, 4) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    panels[1].set_xticks(ticks, [f"{v:g}" for v in ticks])
    panels[1].minorticks_off()
    handles = [
        panels[0].plot([], [], "o", color=c, label=n)[0]
        for n, c in colours.items()
        if any(r["needs"] == n for r in rows.values())
    ]
    made.legend(handles=handles, loc="upper right", ncols=4, frameon=False, fontsize=9)
    what = f"{found['model']}, the same {found['images']} images"
    under = f"{what}; in brackets what limits the attack; medians over those fooled, prices over all"
    style.heading(made, "Attacks side by side, measured", under, height)
    return picture.save(made, path)


if __name__ == "__main__":
    given.run("attack_comparison", Settings, str(__doc__), measure, draw)

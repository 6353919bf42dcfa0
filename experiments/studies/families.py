"""How far do examples carry from one family of nets to another, by recipe and by refined source, at as many gradients?

Source: a VGG-like net of one's own (`experiments.nets`); as it is, and refined on its own training images: by SASD-WS, by six epochs on
adversarial examples of a small radius (4/255), and both refined nets together, with the net as it is or without. Then four such nets of
four families together, as they are and refined by SASD-WS. Targets: other people's, of other families.

choosing   which recipe (on the net as it is), and then which source, carries furthest on the ground for choosing.
reporting  that choice beside the same recipe on the net as it is, beside torchattacks at its defaults and two presets with the copies and
           steps that their papers and TransferAttack have, on the net as it is, and beside noise; untargeted at 8/255 and 4/255,
           targeted at 16/255. Then other sources: the heat map; and recipes for attention on a small ViT.

A recipe has as many steps and copies as G gradients an image buy, over all nets; published settings have the number that they have.
Reported on: all raw images that all targets have right; ``--among jpeg``: of the images that were JPEG once so many, spread over the
classes, and what matters most alone, in a file of its own. Tests are paired by image (McNemar's, exact; Holm), differences have intervals
over images. One training a source, one seed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import ground, nets
from experiments.cases import cornered, spread_over
from experiments.figures import sheet
from experiments.published_families import by_family, mean_rate
from experiments.runner import DOCS, Book, Real, each, load, run, says
from experiments.studies.league import at_effort

OTHER = {"CNN": nets.CNN, "DenseNet": nets.Plan("densenet", 30, 5e-4), "MobileNet": nets.Plan("mobilenet", 40, 5e-4),
         "ViT": nets.Plan("vit", 40, 2e-2)}  # sources of other families, trained as their plans say and tuned no further
REFINED = ("sasd-ws", "robust-4")
SOURCES: dict[str, tuple[nets.Plan, ...]] = {
    "VGG": (nets.VGG,), **{f"VGG, {how}": (replace(nets.VGG, refined=how),) for how in REFINED},
    "VGG, both": tuple(replace(nets.VGG, refined=how) for how in REFINED),
    "VGG, and both": (nets.VGG, *(replace(nets.VGG, refined=how) for how in REFINED)),
    **{name: (plan,) for name, plan in OTHER.items()},
    **{f"{name}, sasd-ws": (replace(plan, refined="sasd-ws"),) for name, plan in OTHER.items()},
    "strided CNN, robust-8": (nets.Plan("strided", 24, 0.0, "both", adversarial=2),),
}  # fmt: skip
FOUR = ("VGG", "CNN", "DenseNet", "MobileNet")  # convolutional nets of four families, together
SOURCES |= {"four nets" + how: tuple(plan for name in FOUR for plan in SOURCES[name + how]) for how in ("", ", sasd-ws")}
PUBLIC = "ResNet-20, public"
TARGETS = {"choosing": ("resnet20", "own_cnn", "cnna_adv"), "reporting": ("resnet8", "densenet", "poolcnn", "vit_adv")}
RECIPES = ("mi-fgsm", "di-fgsm", "mi-di-ti-fgsm", "vmi-fgsm", "ssa", "sia", "bsr", "stm", "l2t", "decowa", "mumodig", "ops", "fgsra",
           "p2fa", "awt")  # fmt: skip
ATTENTION = ("mi-fgsm", "pna-patchout", "tgr", "vdc", "att", "fpr", "ll2s")
PEERS = ("MIFGSM", "DIFGSM", "TIFGSM", "SINIFGSM", "VMIFGSM")  # torchattacks' classes, at its defaults
PUBLISHED = {"untargeted": "bsr", "targeted": "logit"}  # presets with the copies and steps of their papers
TITLES = {"resnet8": "ResNet-8", "densenet": "DenseNet-BC", "poolcnn": "pooled CNN", "vit_adv": "ViT, robust"}
GOALS = {"untargeted": 8, "targeted": 16}  # eps in 255ths
MOST = {"raw": 0, "jpeg": 300}  # images that are reported on; 0: all


@dataclass(frozen=True)
class Settings(Real):
    use: tuple[str, ...] = says(ground.USES, "of the ground", ground.USES)
    choosing: int = says(60, "images, to choose")
    images: int | None = says(None, "to report [all that the targets have right]")
    among: str = says("raw", "images to report on", MOST)
    gradients: int = says(50, "G, an image, over all nets")
    best: int = says(2, "recipes that are tried on refined sources")
    seed: int = 0


class Mean(nn.Module):
    """Nets whose logits are averaged, for toolkits that take one net."""

    def __init__(self, inner: list[nn.Module]) -> None:
        super().__init__()
        self.inner = nn.ModuleList(inner)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([net(x) for net in self.inner]).mean(0)


@dataclass
class On:
    """The images of a use of the ground, its targets, and which of the images each has right."""

    x: Tensor
    y: Tensor
    ids: np.ndarray
    targets: dict[str, nn.Module]
    right: dict[str, Tensor]
    pool: tuple[Tensor, Tensor]
    seed: int

    @classmethod
    def of(cls, s: Settings, use: str) -> On:
        data, ids = ground.images(s.among if use == "reporting" else "raw-filtered", s.root)
        targets = {name: ground.net(name, s.root) for name in TARGETS[use]}
        right = {name: sg.predict(net, data.images) == data.labels for name, net in targets.items()}
        kept = torch.stack(list(right.values()))
        kept = (kept.all(0) if use == "reporting" else kept.any(0)).nonzero()[:, 0]
        kept = kept[: s.choosing] if use == "choosing" else kept[spread_over(len(kept), s.images or MOST[s.among])]
        own = nets.images(s.root).take(slice(0, 600, 6))
        return cls(
            data.images[kept], data.labels[kept], ids[kept].numpy(), targets, {name: r[kept] for name, r in right.items()},
            (own.images, own.labels), ground.seeds("choosing")[0] if use == "choosing" else s.seed,
        )  # fmt: skip

    @property
    def wanted(self) -> Tensor:
        """A class to reach for each image, never its own."""
        return (self.y + 1 + torch.from_numpy(self.ids.astype(np.int64)) % 9) % 10

    def shown(self, made: Tensor, goal: str) -> dict[str, Any]:
        """The outcome on every target, image by image: 1 the goal is reached, 0 not, - the target had the image wrong."""
        found = {}
        for name, net in self.targets.items():
            label = sg.predict(net, made)
            found[name] = each(label == self.wanted if goal == "targeted" else label != self.y, self.right[name])
        return {"rms": round(255 * float((made - self.x).square().mean().sqrt()), 2), "fooled": found}


def preset(name: str, gradients: int, count: int) -> sg.presets.Preset:
    """A recipe for so many gradients, over ``count`` nets; ``published``: as it is. ``+ logit``: along the class's logit."""
    short, _, more = name.partition(" + ")
    made = sg.presets.get(short.removesuffix(", published"))
    made = made if name.endswith("published") else at_effort(made, gradients, count) or made
    return replace(made, parts=made.parts.swap(sg.parts.Logit())) if more else made


def crafted(s: Settings, on: On, source: str, recipe: str, eps: int, goal: str) -> dict[str, Any]:
    """A row: what the targets make of a recipe's examples from a source."""
    own = [ground.net("resnet20", s.root)] if source == PUBLIC else [nets.trained(s.root, plan) for plan in SOURCES[source]]
    return carried(on, own, recipe, eps, goal, s.gradients)


def carried(on: On, own: list[nn.Module], recipe: str, eps: int, goal: str, gradients: int) -> dict[str, Any]:
    """What the targets make of a recipe's examples from these nets, at so many gradients an image over all of them."""
    threat, begin = bb.Linf(eps / 255), time.process_time()
    if recipe == "noise":
        made, cost, steps = threat.project(cornered(on.x, threat.eps, on.seed), on.x), 0, 0
    elif recipe.startswith("torchattacks "):
        made, cost, steps = peer(own, on, recipe.removeprefix("torchattacks "), threat, goal)
    else:
        p = preset(recipe, gradients, len(own))
        made = sg.craft(own, on.x, on.y, p, threat=threat, target=on.wanted if goal == "targeted" else None, pool=on.pool, seed=on.seed,
                        ids=on.ids)  # fmt: skip
        cost, steps = p.cost(nets=len(own)), p.steps
    seconds = time.process_time() - begin
    assert float(threat.distance(made, on.x).max()) <= threat.eps + 1e-6, f"{recipe} left the threat"
    return {"gradients": cost, "steps": steps, "seconds": round(seconds, 1), **on.shown(made, goal)}


def peer(own: list[nn.Module], on: On, kind: str, threat: bb.Threat, goal: str) -> tuple[Tensor, int, int]:
    """An attack of torchattacks on nets with averaged logits, at its defaults (ten steps of 2/255); its gradients and steps."""
    import torchattacks

    torch.manual_seed(on.seed)
    attack = getattr(torchattacks, kind)(Mean(own).eval(), eps=threat.eps)
    if goal == "targeted":
        attack.set_mode_targeted_by_label(quiet=True)
    made = attack(on.x, on.wanted if goal == "targeted" else on.y).detach()
    copies = {"SINIFGSM": 5, "VMIFGSM": 6}.get(kind, 1)
    return made, 10 * copies * len(own), 10


def measure(s: Settings) -> None:
    book = Book("families" if s.among == "raw" else f"families_{s.among}", s, same=("choosing", "images", "gradients", "seed"))
    if s.among != "raw":  # the choice is one for all images
        book.put(chosen=(load("families") or {}).get("chosen"))
    elif "choosing" in s.use:
        choose(s, book)
    if "reporting" in s.use:
        report(s, book)


def choose(s: Settings, book: Book) -> None:
    on, best = On.of(s, "choosing"), {}

    def one(source: str, recipe: str, goal: str) -> dict[str, Any]:
        key = {"goal": goal, "eps": GOALS[goal], "source": source, "recipe": recipe}
        return book.row(lambda: crafted(s, on, source, recipe, GOALS[goal], goal), among="choosing", **key)

    rows = [one("VGG", recipe, "untargeted") for recipe in RECIPES]
    ranked = [row["recipe"] for row in sorted(rows, key=mean_rate, reverse=True)]
    names = [name for name in ranked if name != "p2fa"][: s.best]  # which takes one net
    recipes = {"untargeted": names, "targeted": [*(f"{name} + logit" for name in names[:1]), "logit"]}
    for (goal, among), plainly in product(recipes.items(), ("VGG", "four nets")):
        some = [one(source, recipe, goal) for recipe, source in product(among, [name for name in SOURCES if name.startswith(plainly)])]
        first = max(some, key=mean_rate)
        plain = max((row for row in some if row["source"] == plainly), key=mean_rate)
        best[goal if plainly == "VGG" else f"{goal}, {plainly}"] = {
            "source": first["source"], "recipe": first["recipe"], "rate there": mean_rate(first), "on the plain net": plain["recipe"],
        }  # fmt: skip
    book.put(chosen=best, ranked=ranked)


def first_asked(best: dict[str, Any]) -> list[tuple[str, str, int, str]]:
    """What matters most: (source, recipe, eps, goal): the choice, the same on the net as it is, noise, torchattacks; and from four nets."""
    out: list[tuple[str, str, int, str]] = []
    for goal, eps in GOALS.items():
        first = best[goal]
        out += [(first["source"], first["recipe"], eps, goal), ("VGG", first["recipe"], eps, goal), ("VGG", "noise", eps, goal)]
        out += [("VGG", first["on the plain net"], eps, goal), *(("VGG", f"torchattacks {kind}", eps, goal) for kind in PEERS)]
    for goal in [goal for goal in GOALS if f"{goal}, four nets" in best]:
        first, eps = best[f"{goal}, four nets"], GOALS[goal]
        out += [(first["source"], first["recipe"], eps, goal), ("four nets", first["recipe"], eps, goal)]
        out += [("four nets", first["on the plain net"], eps, goal), *(("four nets", f"torchattacks {kind}", eps, goal) for kind in PEERS)]
        out += [("four nets", f"{PUBLISHED[goal]}, published", eps, goal)]
    return list(dict.fromkeys(out))


def asked(best: dict[str, Any], ranked: list[str]) -> list[tuple[str, str, int, str]]:
    """What is reported: (source, recipe, eps, goal), what matters most first."""
    out, first = first_asked(best), best["untargeted"]
    out += [(source, first["recipe"], 8, "untargeted") for source in SOURCES if source.startswith("VGG")]
    elsewhere = [source for source in SOURCES if source.partition(",")[0] in OTHER]
    out += [(source, first["recipe"], 8, "untargeted") for source in (*elsewhere, "strided CNN, robust-8", PUBLIC)]
    out += [("VGG", f"{name}, published", GOALS[goal], goal) for goal, name in reversed(PUBLISHED.items())]
    out += [("VGG", recipe, 8, "untargeted") for recipe in ranked[:4]]
    out += [(source, recipe, 4, "untargeted") for source, recipe in ((first["source"], first["recipe"]), ("VGG", first["recipe"]),
            *(("VGG", other) for other in ("noise", "torchattacks MIFGSM", "torchattacks VMIFGSM")))]  # fmt: skip
    return list(dict.fromkeys([*out, *(("ViT", name, 8, "untargeted") for name in ATTENTION)]))


def report(s: Settings, book: Book) -> None:
    if not book.found.get("chosen"):
        raise ValueError("Expected a choice made on the ground for choosing, but there is none. Run with --use choosing first.")
    on = On.of(s, "reporting")
    book.put(ids=on.ids.tolist())
    best = book.found["chosen"]
    for source, recipe, eps, goal in asked(best, book.found["ranked"]) if s.among == "raw" else first_asked(best):
        key = {"goal": goal, "eps": eps, "source": source, "recipe": recipe}
        book.row(lambda given=(source, recipe, eps, goal): crafted(s, on, *given), among="reporting", **key)
    if s.among == "raw":
        draw(book.found, DOCS / "families.png")


def draw(found: dict[str, Any], path: Path) -> Path:
    """The heat map: every source by the chosen recipe on every target, the share of images fooled."""
    recipe = found["chosen"]["untargeted"]["recipe"]
    rows = [r for r in found["reporting"] if (r["goal"], r["eps"], r["recipe"]) == ("untargeted", 8, recipe)]
    rows = by_family(rows) + [r for r in found["reporting"] if (r["goal"], r["eps"], r["recipe"]) == ("untargeted", 8, "noise")]
    targets = TARGETS["reporting"]
    value = 100 * np.array([[r["fooled"][name].count("1") / len(r["fooled"][name]) for name in targets] for r in rows])
    under = f"% fooled of {len(found['ids'])} raw images that all targets have right;\n{recipe}, Linf 8/255; one training a source"
    high = 1.6 + 0.42 * len(rows)
    with sheet(path, "How far does each source carry?", under, 6.6, high) as (made, axes):
        made.get_layout_engine().set(rect=(0.005, 0, 0.99, 1 - 0.85 / high))
        one = axes[0, 0]
        one.imshow(value, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        one.grid(False)
        one.set_xticks(range(len(targets)), [TITLES[name] for name in targets])
        one.set_yticks(range(len(rows)), [r["source"] if r["recipe"] != "noise" else "noise" for r in rows])
        for (i, j), share_there in np.ndenumerate(value):
            one.text(j, i, f"{share_there:.0f}", ha="center", va="center", fontsize=8.5, color="white" if share_there > 55 else "black")
    return path


if __name__ == "__main__":
    run(Settings, measure)

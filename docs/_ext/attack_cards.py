"""A card for each registered attack: what it needs, its idea, a picture of what it does to a digit, and its success curve.

They are made when a build begins, from the registry and attacks.toml, by running each attack on a small net trained on
scikit-learn's embedded digits. A change anywhere in the two packages makes them anew.
"""

from __future__ import annotations

import hashlib
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from sphinx.errors import ExtensionError
from sphinx.util import logging

DOCS = Path(__file__).resolve().parents[1]
EPS = {"Linf": 0.2, "L2": 1.5, "L0": 6}
BUDGET, BUDGETS = 300, [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300]
LOWEST = {"labels": "labels", "topk": "the largest scores", "scores": "all scores", "logits": "logits"}
GROUPS = [
    ("scores", "Where the target shows scores"),
    ("labels", "Where the target shows labels alone"),
    ("prior", "With surrogates of one's own"),
]


def facts(name: str) -> dict[str, Any]:
    """What the class of an attack says of itself, and how it is run here."""
    import blackbox as bb

    kind = bb.attacks.get(name)
    minimises = getattr(kind, "minimises", False)
    informed = getattr(kind, "informed", False) and bb.attacks.takes_prior(kind)
    labels = kind.access == bb.Access.LABELS
    norm = next(norm for norm in EPS if norm in kind.norms)
    return {
        "kind": kind, "norms": kind.norms, "norm": norm, "shows": kind.access.name.lower(), "minimises": minimises,
        "informed": informed, "access": "labels" if labels and not informed else "scores",
        "group": "prior" if informed else "labels" if labels else "scores",
    }  # fmt: skip


class Bench:
    """A target, a surrogate that saw other images, and forty digits that neither saw."""

    def __init__(self) -> None:
        import surrogates as sg

        part = sg.split(sg.load("digits"), {"target": 900, "own": 400, "attack": 200}, seed=0)
        shape = (1, 8, 8)
        self.target = sg.train(sg.build("cnn", 10, shape), part["target"], sg.Recipe(epochs=10), seed=0)
        own = [sg.train(sg.build(a, 10, shape, seed=1), part["own"], sg.Recipe(epochs=15), seed=1) for a in ("mlp", "cnn")]
        self.prior = sg.prior(own)
        self.x, self.y = part["attack"].images[:40], part["attack"].labels[:40]

    def run(self, name: str, about: dict[str, Any]) -> Any:
        import blackbox as bb

        oracle = bb.Oracle(self.target, access=about["access"], classes=10)
        threat = getattr(bb, about["norm"])(EPS[about["norm"]])
        prior = {"prior": self.prior} if about["informed"] else {}
        return bb.attack(oracle, self.x, self.y, name, threat=threat, budget=BUDGET, seed=0, **prior)


def picture(path: Path, name: str, bench: Bench, result: Any, norm: str) -> None:
    """The first digit that was fooled: clean, its change, changed."""
    import matplotlib.pyplot as plt

    hit = int(np.argmax(result.success.numpy())) if bool(result.success.any()) else 0
    clean, changed = bench.x[hit, 0].numpy(), result.x_adv[hit, 0].numpy()
    bound = max(float(np.abs(changed - clean).max()), 1e-6)
    panels = [
        (clean, {"cmap": "gray", "vmin": 0, "vmax": 1}, f"a {int(result.clean_label[hit])}"),
        (changed - clean, {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}, f"the change, ±{bound:.2f}"),
        (changed, {"cmap": "gray", "vmin": 0, "vmax": 1}, f"now a {int(result.adv_label[hit])}"),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(6, 2.3), layout="constrained")
    for axis, (image, how, title) in zip(axes, panels, strict=True):
        axis.imshow(image, **how)
        axis.set_title(title, fontsize=11)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def curve(path: Path, name: str, result: Any, against: dict[str, Any]) -> None:
    """Success against queries with its interval, beside the plainest attack of the same norm and access."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
    for other, run in against.items():
        axis.plot(BUDGETS, [100 * r.value for r in run.curve(BUDGETS)], color="0.6", label=other)
    rates = result.curve(BUDGETS)
    axis.fill_between(BUDGETS, [100 * r.low for r in rates], [100 * r.high for r in rates], alpha=0.2, color="C0", lw=0)
    axis.plot(BUDGETS, [100 * r.value for r in rates], color="C0", marker="o", markersize=3, label=name)
    axis.set(xscale="log", ylim=(-2, 102), xlabel="queries an image", ylabel="fooled, %")
    axis.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axis.minorticks_off()
    axis.legend(frameon=False, loc="upper left")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def card(name: str, entry: dict[str, str], about: dict[str, Any], n: int, beside: str) -> str:
    """The page of one attack, in Markdown."""
    arxiv = entry.get("arxiv")
    link = f" [arXiv:{arxiv}](https://arxiv.org/abs/{arxiv})" if arxiv else ""
    kind, norm = about["kind"], about["norm"]
    starts = "an image that is already adversarial, and makes the change smaller" if about["minimises"] else "the image itself"
    prior = " prior=sg.prior(nets)," if about["informed"] else ""
    given = "surrogates of one's own (`prior=sg.prior(nets)`)" if about["informed"] else "none"
    head = f"""\
    # {name}

    {entry["title"]}. {entry["source"][:1].upper() + entry["source"][1:]}.{link}

    {{idea}}

    | it needs | |
    |---|---|
    | access | {LOWEST[about["shows"]]} or more |
    | norms | {", ".join(about["norms"])} |
    | prior knowledge | {given} |
    | begins at | {starts} |

    ```{{{{code-block}}}} python
    result = bb.attack(oracle, x, y, "{name}",{prior}
                       threat=bb.{norm}({EPS[norm]}), budget={BUDGET}, seed=0)
    ```

    ## What it does to an image

    ![A digit, what {name} changes, and the changed digit](images/{name}.png)

    ## Its curve

    ![Share of images that {name} fools against queries]({{curve}})

    {n} digits, a small convolutional net that shows {about["access"]}, {norm} {EPS[norm]}, budget {BUDGET}; the band is the 95 %
    Wilson interval{beside}. This is a toy: it shows the shape of the curve and says nothing about other targets.
    [Results](../results/index.md) has measurements on real ones.

    ## Settings

    ```{{{{eval-rst}}}}
    .. autoclass:: {kind.__module__}.{kind.__qualname__}
       :no-index:
    ```
    """
    text = textwrap.dedent(head).replace("{{", "{").replace("}}", "}")
    return text.replace("{idea}", entry["idea"].strip()).replace("{curve}", f"images/{name}-curve.png")


def index(known: dict[str, dict[str, str]], about: dict[str, dict[str, Any]]) -> str:
    """The page that lists the cards."""
    lines = [
        "# Attacks", "",
        "Each attack has a card: what it needs, its idea in three sentences, what it does to an image, and its curve on a toy.",
        "Which one suits is the question of [Choose an attack](../how-to/choose-an-attack.md); `auto` chooses by itself.", "",
    ]  # fmt: skip
    for group, title in GROUPS:
        members = [name for name in known if about[name]["group"] == group]
        lines += [f"## {title}", "", "| attack | in the papers | norms | begins at |", "|---|---|---|---|"]
        for name in members:
            place = "an adversarial image" if about[name]["minimises"] else "the image"
            lines.append(f"| [{name}]({name}.md) | {known[name]['title']} | {', '.join(about[name]['norms'])} | {place} |")
        lines += ["", "```{toctree}", ":hidden:", "", *members, "```", ""]
    return "\n".join(lines)


def make(app: Any) -> None:
    """Write the pages and pictures into docs/attacks, unless they are those of this source."""
    import matplotlib

    matplotlib.use("Agg")
    import blackbox as bb

    known = tomllib.loads((DOCS / "attacks.toml").read_text("utf-8"))
    if list(known) != bb.attacks.names():
        odd = sorted(set(known) ^ set(bb.attacks.names()))
        raise ExtensionError(f"Expected attacks.toml to have the registry's names in its order, but {odd or 'the order'} differs.")
    sources = [DOCS / "attacks.toml", Path(__file__)]
    sources += [p for top in ("blackbox", "surrogates") for p in sorted((DOCS.parent / top).rglob("*.py"))]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    folder = DOCS / "attacks"
    stamp = DOCS / "_build" / "attacks.sha256"
    if stamp.exists() and stamp.read_text() == digest and (folder / "index.md").exists():
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    bench, about = Bench(), {name: facts(name) for name in known}
    runs = {name: bench.run(name, about[name]) for name in known}
    for name, entry in known.items():
        peers = [n for n in ("square", "sparse", "rays", "boundary") if n != name and about[n]["norm"] == about[name]["norm"]]
        same = {n: runs[n] for n in peers if about[n]["access"] == about[name]["access"]}
        picture(folder / "images" / f"{name}.png", name, bench, runs[name], about[name]["norm"])
        curve(folder / "images" / f"{name}-curve.png", name, runs[name], same)
        beside = f"; in grey `{next(iter(same))}`, for comparison" if same else ""
        (folder / f"{name}.md").write_text(card(name, entry, about[name], len(bench.y), beside), "utf-8")
    (folder / "index.md").write_text(index(known, about), "utf-8")
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    logging.getLogger(__name__).info("attack cards: %d", len(known))


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}

"""``blackbox demo``: surrogate, transfer and query attacks end to end on embedded digits, offline.

There are six hidden targets, some without any gradient. A surrogate is trained on the labels of one of them, and examples
crafted on it are shown to all six. The same target is then attacked through its scores alone. Two runs give identical
numbers (fixed call sizes, one thread).
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.cli import demo_text as text
from blackbox.cli import run_folder
from blackbox.cli.demo_settings import Outcome, Settings
from blackbox.cli.progress import say
from blackbox.specs import digits, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blackbox.oracle.oracle import Oracle
    from blackbox.report.pages import Page
    from blackbox.threat import Threat


def run(out: str, seed: int, quiet: bool, attacks: str | None = None, everything: bool = False) -> None:
    """Measure, print the two tables, write the folder. ``attacks``: names with commas, beside those of the demo."""
    from blackbox.attacks import get, names

    begin = time.perf_counter()
    more = names() if everything else parse.words(attacks or "")
    for name in more:
        get(name)
    settings = Settings(seed=seed, more=tuple(dict.fromkeys(name for name in more if name != "square")))
    path = run_folder.create(out, "demo")
    with one_thread():
        outcome = measure(settings, quiet)
        write(outcome, path)
    say(f"saved    {path}/: report.html, report.md, pictures, raw outcomes, run.json", quiet)
    say("next     blackbox attack --target digits:knn --eps 0.2    or your own model: --target file.py:load", quiet)
    if not quiet:
        print(f"took {time.perf_counter() - begin:.1f} s", file=sys.stderr)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra under scikit-learn in one thread, so that sums are added up in one order."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def measure(settings: Settings, quiet: bool) -> Outcome:
    """Run the whole experiment, and print each table as soon as it is there."""
    import blackbox as bb
    import surrogates as sg
    from blackbox.report.shown import LastCell

    data, threat, seed = digits.parts(), bb.Linf(settings.eps), settings.seed
    victims, own = data["attack"], data["surrogate"]
    say(text.threat_model(settings, len(own)), quiet)

    teacher = oracle(settings, settings.teacher, "labels")
    recipe = sg.Recipe(epochs=settings.epochs, optimiser="adam", lr=settings.lr)
    net = sg.build(settings.arch, classes=10, shape=own.shape, seed=seed)
    shown = sg.acquire.widened(own, settings.label_queries, seed)
    sg.train(net, shown, recipe, seed=seed, teacher=teacher, queries=settings.label_queries)
    paid = teacher.rows
    agreement = sg.fidelity(net, teacher, victims.images)

    targets, last = {name: oracle(settings, name, "labels") for name in digits.NAMES}, LastCell()
    matrix = sg.transfer_matrix(
        {settings.arch: net}, targets, victims.images, victims.labels, settings.attacks, [threat], seed=seed, keep=last
    )
    say(text.targets(matrix), quiet)
    say(text.surrogate(settings, paid, agreement), quiet)
    say(text.transfer(settings, matrix), quiet)

    x, y = victims.images[: settings.images], victims.labels[: settings.images]
    results = {}
    for name, attack in query_attacks(settings, own.images).items():
        scores = oracle(settings, settings.teacher, "scores")
        results[name] = bb.attack(scores, x, y, attack, threat, settings.budget, seed=seed)
    for name, (attack, within) in more_attacks(settings, net).items():
        target = oracle(settings, settings.teacher, "labels" if attack.access is bb.Access.LABELS else "scores")
        results[name] = bb.attack(target, x, y, attack, within, settings.budget, seed=seed)
    outcome = Outcome(settings, len(own), agreement, matrix, last, results)
    say(text.queries(outcome), quiet)
    say(text.together(outcome), quiet)
    return outcome


def oracle(settings: Settings, name: str, access: str) -> Oracle:
    """A fresh counter before a hidden target."""
    made: Oracle = digits.oracle(name, access, settings.rows_per_call)
    return made


def query_attacks(settings: Settings, own: Any) -> dict[str, Any]:
    """Finite differences in full, in random groups and along the principal components of the attacker's own images;
    and a random search as the reference for query efficiency."""
    from blackbox.attacks import FDFGSM, FDIFGSM, Square

    grouped: dict[str, Any] = {"method": "groups", "h": settings.h, "size": settings.groups}
    pca: dict[str, Any] = {"method": "pca", "h": settings.h, "count": settings.components, "images": own}
    return {
        "fd-fgsm, full": FDFGSM(h=settings.h),
        "fd-fgsm, groups": FDFGSM(**grouped),
        "fd-fgsm, PCA": FDFGSM(**pca),
        "fd-ifgsm, PCA": FDIFGSM(**pca, steps=settings.steps, step_size=1 / settings.steps),
        "square": Square(),
    }


def more_attacks(settings: Settings, net: Any) -> dict[str, tuple[Any, Threat]]:
    """The attacks asked for by name: label -> the attack and a threat that it serves; a prior is made from ``net``."""
    import blackbox as bb
    import surrogates as sg

    found = {}
    for name in settings.more:
        attack = bb.attacks.build(name, **({"prior": sg.prior(net)} if name in bb.attacks.with_prior() else {}))
        within = digits.threat(attack.norms, settings.eps)
        words = [name]
        if attack.access is bb.Access.LABELS:
            words.append("labels")
        if within.norm != "Linf":
            words.append(str(within))
        found[", ".join(words)] = (attack, within)
    return found


def write(outcome: Outcome, path: Path) -> None:
    """Raw outcomes, pictures, report, configuration."""
    from blackbox.report import build, raw, runs
    from blackbox.report import shown as kept

    settings, matrix, results = outcome.settings, outcome.matrix, outcome.queries
    matrix.save(path)
    raw.write_transfer(matrix, path / "outcomes-transfer.csv")
    raw.write_rates(matrix, path / "rates-transfer.csv")
    victims = digits.parts()["attack"]
    for name, result in results.items():
        where = _folder(path, name)
        result.save(where)
        kept.of_attack(where, result, victims)
    kept.of_transfer(path, matrix, outcome.last, victims, settings.teacher)
    bill = {"arch": settings.arch, "target": settings.teacher, "queries": settings.label_queries,
            "agreement": [outcome.agreement.k, outcome.agreement.n]}  # fmt: skip
    (path / "surrogate.json").write_text(json.dumps(bill, indent=2) + "\n")
    raw.write_queries(results, path / "outcomes-queries.csv")
    shown = examples(outcome, path / "examples.png")
    run_folder.write_config(path, {"verb": "demo", **asdict(settings), "targets": list(digits.NAMES), "parts": digits.PARTS})

    model, accuracy, surrogate, transfer = (
        text.threat_model(settings, outcome.own), text.targets(matrix),
        text.surrogate(settings, settings.label_queries, outcome.agreement), text.transfer(settings, matrix),
    )  # fmt: skip
    queries, both = text.queries(outcome), text.together(outcome)
    summary = "\n".join([model, accuracy, surrogate, transfer, queries, both, ""])
    (path / "summary.txt").write_text(summary)

    def together(page: Page) -> None:
        page.head("Both together")
        page.text(f"{surrogate.split(maxsplit=1)[1]}.")
        page.text(" ".join(both.split()[1:]))
        if shown is not None:
            page.picture("Clean, adversarial and difference images", shown)
        for line in text.READING:
            page.text(line)

    images = {name: kept.read(_folder(path, name)) for name in results} | {"transfer": kept.read(path)}
    run = runs.own(
        path, attacks=dict(results), images={name: found for name, found in images.items() if found is not None}, matrix=matrix,
        surrogate={"bill": bill, "training": {}},
    )  # fmt: skip
    build.write_own(run, "Transfer and queries against hidden targets: digits", summary, together)


def _folder(path: Path, name: str) -> Path:
    return path / "queries" / name.replace(", ", "-").replace(" ", "-")


def examples(outcome: Outcome, path: Path, columns: int = 6) -> Path | None:
    """Images on which both fool the teacher: the surrogate's gradients, and queries."""
    import numpy as np

    from blackbox.report import figures

    settings, matrix = outcome.settings, outcome.matrix
    data, first = digits.parts()["attack"], slice(0, settings.images)
    x, y = data.images[first], data.labels[first]
    t, a = matrix.targets.index(settings.teacher), len(settings.attacks) - 1
    searched = outcome.queries[way := "fd-fgsm, PCA"]
    fooled = (matrix.adv_target[0, a, 0, t][first] != y.numpy()) & (matrix.clean_target[t][first] == y.numpy())
    index = figures.spread(np.flatnonzero(fooled & searched.success.numpy()), y.numpy(), columns)
    if not len(index):
        return None
    judge = oracle(settings, settings.teacher, "labels")  # for the captions; charged to no attack

    def says(images: Any) -> list[str]:
        return [f"“{int(c)}”" for c in judge(images).label]

    clean, crafted = x[index], outcome.last.crafted
    assert crafted is not None
    made = {
        f"{settings.attacks[a]}\non the surrogate": crafted[index],
        f"{way}\nthrough queries": searched.x_adv[index],
    }
    rows, notes = [("clean", list(clean))], [says(clean)]
    for name, images in made.items():
        rows += [(name, list(images)), ("difference", list(images - clean))]
        notes += [says(images), [""] * len(index)]
    under = f"Below each image: what {settings.teacher} says. Linf {settings.eps:g}; in a difference red is darker ink, blue lighter."
    return figures.gallery(
        rows, [f"true: {int(c)}" for c in y[index]], notes, f"Ways to fool {settings.teacher}", under, path
    )

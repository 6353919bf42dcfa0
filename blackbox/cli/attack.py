"""``blackbox attack``: one query attack, one target, a folder of results."""

from __future__ import annotations

import inspect
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from blackbox.cli import NO_SUCCESS, Exit, folder, parse, specs
from blackbox.cli.progress import attack_progress, say

if TYPE_CHECKING:
    import torch

    from blackbox.results import AttackResult
    from blackbox.threat import Threat


def run(
    target: str, attack: str, data: str, *, norm: str | None, eps: str | None, threat: str | None, budget: int,
    access: str, targeted: str | None, settings: list[str], n: int | None, pick: str, split: str | None,
    size: int | None, class_names: str | None, classes: int | None, checkpoint: str | None, seed: int,
    device: str | None, threads: int | None, out: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Parse, check everything that can be checked before the first query, attack, save, tell."""
    wanted = parse.one_threat(norm, eps, threat)
    if budget < 1:
        raise ValueError(f"Expected --budget to be at least 1, but it was {budget}.")
    chosen = build(attack, settings)
    set_threads(threads)

    import blackbox as bb

    images = specs.images(data, n=n, pick=pick, split=split, size=size, classes=class_names, seed=seed)
    count = classes or len(images.data.classes)
    found = specs.models(target, images.data, count)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {target} names {len(found)}. Choose one of them: {found[0].spec} …")
    oracle = specs.oracle(found[0], access, count, device)
    goal = goals(targeted, images, count, seed)
    path = folder.create(out, "attack", found[0].name, attack)
    effective = {
        "verb": "attack", "target": found[0].spec, "attack": attack, "parameters": parameters(chosen),
        "threat": {"norm": wanted.norm, "eps": wanted.eps}, "budget": budget, "access": oracle.access.name.lower(),
        "targeted": targeted, "data": data, "split": split, "n": len(images.data), "pick": pick, "size": size,
        "class_names": class_names, "classes": count, "seed": seed, "device": str(oracle.device),
        "checkpoint": checkpoint,
    }  # fmt: skip
    folder.write_config(path, effective)
    say(plan(chosen, attack, found[0].name, images.data, wanted, budget), quiet)
    try:
        with attack_progress(budget, quiet) as progress:
            result = bb.attack(
                oracle, images.data.images, images.data.labels, chosen, wanted, budget, target=goal, seed=seed,
                ids=images.index, checkpoint=checkpoint, progress=progress,
            )  # fmt: skip
    except bb.TargetError as error:
        if error.result is None:
            raise
        save(error.result, path, images.data, found[0].name)
        spent = int(error.result.queries.sum())
        raise bb.TargetError(f"{error} The results of the {spent:,} queries before it are saved in {path}.") from error
    save(result, path, images.data, found[0].name)
    say(result.summary(), quiet)
    say(f"saved            {path}/: report.html, report.md, outcomes.csv, examples.safetensors, pictures, run.json", quiet)
    if not bool(result.success.any()):
        raise Exit(NO_SUCCESS, f"No success: none of the {int(result.attacked.sum())} images attacked was fooled.")


def build(name: str, pairs: list[str]) -> Any:
    """The attack with the settings of ``--set``."""
    from blackbox import attacks

    kind = attacks.get(name)
    return kind(**parse.settings(kind, pairs))


def parameters(attack: Any) -> dict[str, Any]:
    """The hyper-parameters as they will be used."""
    return asdict(attack) if is_dataclass(attack) and not isinstance(attack, type) else {"repr": repr(attack)}


def set_threads(threads: int | None) -> None:
    """Torch's threads, where the user wants a number."""
    if threads is None:
        return
    if threads < 1:
        raise ValueError(f"Expected --threads to be at least 1, but it was {threads}.")
    import torch

    torch.set_num_threads(threads)


def goals(targeted: str | None, images: specs.Images, classes: int, seed: int) -> torch.Tensor | int | None:
    """``--targeted``: a class, or ``random``: for each image a class other than its own, by (seed, id)."""
    if targeted is None:
        return None
    if targeted != "random":
        names = images.data.classes
        if targeted in names and not targeted.isdigit():
            return names.index(targeted)
        try:
            return int(targeted)
        except ValueError:
            raise ValueError(
                f"Expected --targeted to be random, a class index or a class name, but it was {targeted!r}."
            ) from None
    import numpy as np

    from blackbox.rng import Stream

    draw = Stream(seed, images.index.astype(np.uint64), "cpu").uniform_array(0, "goal", 1)[:, 0]
    shift = np.minimum((draw * (classes - 1)).astype(np.int64), classes - 2) + 1
    import torch

    return torch.from_numpy((images.data.labels.numpy() + shift) % classes)


def plan(attack: Any, name: str, target: str, data: Any, threat: Threat, budget: int) -> str:
    """What the run may cost, before it costs anything."""
    count, worst = len(data), len(data) * budget
    lines = [
        f"plan             {name} on {target}: {count:,} images × at most {budget:,} queries = at most {worst:,} queries, {threat}"
    ]
    method = getattr(attack, "plan", None)
    if method is None:
        return lines[0]
    shape = data.shape
    known = {"shape": shape, "budget": budget, "eps": threat.eps, "threat": threat, "d": data.images[0].numel()}
    accepted = inspect.signature(method).parameters
    bill = method(**{k: v for k, v in known.items() if k in accepted})
    lines.append(f"the attack's own {bill if isinstance(bill, str) else f'{bill:,} queries an image for one pass of its loop'}")
    return "\n".join(lines)


def save(result: AttackResult, path: Any, data: Any, target: str) -> None:
    """Raw outcomes, summary, pictures and report."""
    from blackbox.report import figures, pages

    result.save(path)
    pictures = [("Success against queries", figures.curves({result.config["attack"]: result}, path / "curve.png"))]
    shown = figures.examples(result, data.images, data.classes, path / "examples.png")
    if shown is not None:
        pictures.append(("Clean, adversarial, difference", shown))
    note = "The difference is drawn around grey and stretched to its largest entry."
    page = pages.Page(f"{result.config['attack']} on {target}")
    page.text(f"{result.threat}, budget {result.config['budget']:,} queries an image, target shows {result.config['access']}.")
    page.pre(result.summary())
    for title, where in pictures:
        page.picture(title, where)
    page.text(note)
    page.text("Raw outcomes: outcomes.csv, one line an image. Settings and versions: run.json.")
    page.write(path)

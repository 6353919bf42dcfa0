"""``blackbox attack``: one query attack, one target, a folder of results."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
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
    size: int | None, class_names: str | None, classes: int | None, mean: str | None, std: str | None, checkpoint: str | None, seed: int,
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
    found = specs.models(target, images.data, count, mean=mean, std=std)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {target} names {len(found)}. Choose one of them: {found[0].spec} …")
    oracle = specs.oracle(found[0], access, count, device)
    goal = goals(targeted, images, count, seed)
    path = folder.create(out, "attack", found[0].name, attack)
    effective = {
        "verb": "attack", "target": found[0].spec, "attack": attack, "parameters": parameters(chosen),
        "threat": {"norm": wanted.norm, "eps": wanted.eps}, "budget": budget, "access": oracle.access.name.lower(),
        "targeted": targeted, "data": data, "split": split, "n": len(images.data), "pick": pick, "size": size,
        "class_names": class_names, "classes": count, "mean": mean, "std": std, "seed": seed, "device": str(oracle.device),
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
    say(
        f"saved            {path}/: report.html, report.md, outcomes.csv, examples.safetensors, pictures, run.json",
        quiet,
    )
    if not bool(result.success.any()):
        raise Exit(NO_SUCCESS, f"No success: none of the {int(result.attacked.sum())} images attacked was fooled.")


def build(name: str, pairs: list[str]) -> Any:
    """The attack with the settings of ``--set``; ``images=`` may be a data spec, of which the attacker's part is read."""
    from blackbox import attacks

    kind = attacks.get(name)
    values = parse.settings(kind, pairs)
    spec = values.get("images")
    if isinstance(spec, str) and not spec.endswith(".npz"):
        split = None if spec.partition(":")[0] in ("digits", "folder", "npz") else "train"
        values["images"] = specs.images(spec, split=split, default_split="surrogate").data.images
    return kind(**values)


def parameters(attack: Any) -> dict[str, Any]:
    """The hyper-parameters as they will be used; whatever is no plain value by its own description."""
    if not is_dataclass(attack) or isinstance(attack, type):
        return {"repr": repr(attack)}
    values = {f.name: getattr(attack, f.name) for f in fields(attack)}
    out = {}
    for name, value in values.items():
        shape = tuple(getattr(value, "shape", ()))
        plain = value is None or isinstance(value, (bool, int, float, str))
        out[name] = value if plain else f"{len(value)} images of {shape[1:]}" if shape else repr(value)
    return out


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
    """What the run may cost, before it costs anything: by the attack's own plan where it has one."""
    method = getattr(attack, "plan", None)
    bill = method(data.shape, budget) if method is not None else None
    most = min(budget, bill.total) if bill is not None else budget
    line = (
        f"plan             {name} on {target}, {threat}: {len(data):,} images × at most {most:,} queries "
        f"= at most {len(data) * most:,}"
    )
    return line if bill is None else f"{line}\nan image         {str(bill)[0].lower()}{str(bill)[1:]}"


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
    page.text(
        f"{result.threat}, budget {result.config['budget']:,} queries an image, target shows {result.config['access']}."
    )
    page.pre(result.summary())
    for title, where in pictures:
        page.picture(title, where)
    page.text(note)
    page.text("Raw outcomes: outcomes.csv, one line an image. Settings and versions: run.json.")
    page.write(path)

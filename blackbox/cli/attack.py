"""``blackbox attack``: one target, one query attack or several side by side, a folder of results."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.cli import NO_SUCCESS, STOPPED, Exit, options, training
from blackbox.cli.progress import attack_progress, say
from blackbox.specs import channels as between
from blackbox.specs import folder, parse, specs, starts

if TYPE_CHECKING:
    import torch

    from blackbox.results import AttackResult
    from blackbox.threat import Threat
    from surrogates import Dataset


def run(
    target: str, attack: str, *, budget: int, access: str | None, channels: list[str], votes: int | None,
    eight_bit: bool, targeted: str | None, start: str | None, pool: str | None, settings: list[str],
    checkpoint: str | None, journal: str | None, cache: bool, retries: int, surrogates: list[str], own: str | None,
    arch: str | None, epochs: int, answers: str,
    images: options.Images, within: options.Within, nets: options.Nets, common: options.Run,
) -> None:  # fmt: skip
    """Parse, check everything that can be checked before the first query, attack, save, tell."""
    wanted = parse.one_threat(within)
    if budget < 1:
        raise ValueError(f"Expected --budget to be at least 1, but it was {budget}.")
    if votes is not None and (votes < 1 or votes % 2 == 0):
        raise ValueError(f"Expected --votes to be an odd number, so that there is a majority, but it was {votes}.")
    attacks = build(attack, settings)
    stack = between.read(channels)
    shows = between.access(access, stack)
    set_threads(nets.threads)

    import blackbox as bb
    from blackbox import prior as priors
    from blackbox.run import resolve

    shown = specs.images(images, common.seed)
    count = nets.classes or len(shown.data.classes)
    found = specs.retrying(specs.one_model(target, shown.data, count, nets), retries, nets.device)
    goal = goals(targeted, shown, count, common.seed)
    known = surrogate_nets(attacks, surrogates, own, shown, count, nets)
    mine = None if own is None else training.read(own, shown, count)
    asked = bought(answers, mine, attacks, bool(checkpoint or journal))
    first = starts.read(start, pool, shown, goal, attacks.values(), common.seed)
    # an oracle for each attack: what a channel draws follows from the rows that it has seen
    oracles = {n: specs.oracle(found, shows, count, nets.device, stack=stack, seed=common.seed) for n in attacks}
    if own is not None and mine is not None:
        known |= training.train(mine, own, arch, epochs, common)
    attacks = informed(attacks, list(known.values()))
    for name, made in attacks.items():
        priors.require(resolve(made, oracles[name], wanted)[1], name, shown.data.shape, count)
    if asked is not None and mine is not None:  # nothing is bought for nets that do not fit
        oracle, images_attacked = next(iter(oracles.values())), len(shown.data)
        taught = training.teach(list(known.values()), mine, oracle, asked, images_attacked, common)
        attacks = informed(attacks, taught)
    path = folder.create(common.out, "attack", found.name, "-".join(attacks))
    used = {name: parameters(made) for name, made in attacks.items()}
    effective = {
        "verb": "attack", "target": found.spec, "attack": attack,
        "parameters": used if len(used) > 1 else next(iter(used.values())),
        "threat": {"norm": wanted.norm, "eps": wanted.eps}, "budget": budget, "access": shows, "channels": channels,
        "votes": votes, "eight_bit": eight_bit, "targeted": targeted, "start": start, "pool": pool, "checkpoint": checkpoint,
        "journal": journal, "cache": cache, "retries": retries, "surrogates": surrogates,
        "own": own, "arch": arch, "epochs": epochs, "answers": asked or 0,
        **asdict(images), **asdict(nets), "n": len(shown.data), "classes": count, "seed": common.seed,
        "device": str(next(iter(oracles.values())).device),
    }  # fmt: skip
    folder.write_config(path, effective)
    for name, made in attacks.items():
        say(plan(made, name, found.name, shown.data, wanted, budget), common.quiet)

    alone, results = len(attacks) == 1, {}
    for name, made in attacks.items():
        where = path if alone else path / name
        kept, book = (p if alone or p is None else _beside(p, name) for p in (checkpoint, journal))
        try:
            with attack_progress(budget, common.quiet, "attack" if alone else name) as progress:
                results[name] = bb.attack(
                    oracles[name], shown.data.images, shown.data.labels, made, wanted, budget, target=goal,
                    seed=common.seed, start=first if starts.takes(made) else None, ids=shown.index, checkpoint=kept,
                    journal=book, cache=cache,
                    progress=progress, votes=votes, eight_bit=eight_bit,
                )  # fmt: skip
        except (bb.TargetError, KeyboardInterrupt) as error:
            reached = getattr(error, "result", None)
            if reached is None:
                raise
            save(reached, where, shown.data, found.name)
            told = f"The results of the {int(reached.queries.sum()):,} queries before it are saved in {where}."
            if isinstance(error, KeyboardInterrupt):
                raise Exit(STOPPED, f"Stopped. {told}") from error
            raise bb.TargetError(f"{error} {told}") from error
        save(results[name], where, shown.data, found.name)
    if asked:
        bill = training.bill(asked, next(iter(results.values())))
        say(
            f"with training    {bill['total']:,.0f} queries in all, {bill['amortised']:.1f} an image; {bill['an image']:.1f} without",
            common.quiet,
        )
        (path / "training.json").write_text(json.dumps({"answers": asked, **bill}, indent=1) + "\n")
    tell(results, path, found.name, common.quiet)


def tell(results: dict[str, AttackResult], path: Path, target: str, quiet: bool) -> None:
    """The summary of one result, or the comparison of several; what was saved; exit code 3 where nothing was fooled."""
    from blackbox.cli import compare

    if len(results) == 1:
        say(next(iter(results.values())).summary(), quiet)
        saved = "report.html, report.md, outcomes.csv, examples.safetensors, pictures, run.json"
    else:
        say(compare.save(results, path, target), quiet)
        saved = (
            f"report.html, report.md, outcomes.csv, pictures, run.json; and a folder for each of {', '.join(results)}"
        )
    say(f"saved            {path}/: {saved}", quiet)
    if not any(bool(result.success.any()) for result in results.values()):
        attacked = int(next(iter(results.values())).attacked.sum())
        raise Exit(NO_SUCCESS, f"No success: none of the {attacked} images attacked was fooled.")


def build(names: str, pairs: list[str]) -> dict[str, Any]:
    """The attacks of ``"square,nes"`` with the settings of ``--set``: ``p_init=.1``, or ``square.p_init=.1``.

    ``images=`` may be a data spec, of which the attacker's part is read.

    Raises:
        ValueError: no name, one that is not known or is there twice, or a setting that is nobody's.
    """
    from blackbox import attacks

    found = parse.words(names)
    kinds = {name: attacks.get(name) for name in found}
    if not found or len(kinds) < len(found):
        raise ValueError(f"Expected --attack to name one attack, or several different ones, but it was {names!r}.")
    mine: dict[str, list[str]] = {name: [] for name in kinds}
    for pair in pairs:
        name, dot, _ = pair.partition("=")[0].partition(".")
        if dot and name in kinds:
            mine[name].append(pair[len(name) + 1 :])
        elif dot or len(kinds) > 1:
            raise ValueError(
                f"Expected --set ATTACK.NAME=VALUE with ATTACK one of {', '.join(kinds)}, but it was {pair!r}."
            )
        else:
            mine[found[0]].append(pair)
    made = {}
    for name, kind in kinds.items():
        values = parse.settings(kind, mine[name])
        spec = values.get("images")
        if isinstance(spec, str) and not spec.endswith(".npz"):
            values["images"] = specs.own(spec).images
        made[name] = kind(**values)
    return made


def surrogate_nets(
    attacks: dict[str, Any], words: list[str], own: str | None, shown: specs.Images, classes: int, nets: options.Nets
) -> dict[str, Any]:
    """The nets of ``--surrogate``, by name.

    Raises:
        ValueError: surrogates, or images to train them on, but no attack that takes any; one that is no net, or does not fit.
    """
    if (words or own) and not any(hasattr(made, "prior") for made in attacks.values()):
        from blackbox.attacks import with_prior

        raise ValueError(
            f"Expected {'--surrogate' if words else '--own'} with an attack that takes one, {', '.join(with_prior())}, but "
            f"--attack names {', '.join(attacks)}."
        )
    return specs.sources(words, "--surrogate", shown, classes, nets)


def informed(attacks: dict[str, Any], nets: list[Any]) -> dict[str, Any]:
    """The attacks, those that take a prior with the nets as one. A result's bill is of its own run."""
    if not nets:
        return attacks
    import surrogates as sg

    prior = sg.prior(nets)
    return {n: replace(made, prior=prior) if hasattr(made, "prior") else made for n, made in attacks.items()}


def bought(answers: str, pool: Dataset | None, attacks: dict[str, Any], kept: bool) -> int | None:
    """``--answers``: how many answers to buy for training; None where the option was not given.

    Raises:
        ValueError: nothing to ask about, several attacks (whose bill?), or a run that is to go on after a kill.
    """
    if answers == "0":
        return None
    if pool is None:
        raise ValueError("Expected --own with --answers, images to ask the target about, but there were none.")
    if len(attacks) > 1:
        raise ValueError(f"Expected one attack with --answers, on whose bill they are, but there were {len(attacks)}.")
    if kept:
        raise ValueError(
            "Expected --answers without --checkpoint and --journal, which would not hold them: they would be paid for again. "
            "Train beforehand: blackbox surrogate, then --surrogate."
        )
    return training.answers(answers, len(pool))


def _beside(checkpoint: str, name: str) -> str:
    """``run.pt`` -> ``run-square.pt``: each attack's own file."""
    path = Path(checkpoint)
    return str(path.with_name(f"{path.stem}-{name}{path.suffix}"))


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
    """Raw outcomes, summary, pictures and report; and a few of the clean images, for later reports."""
    from blackbox.report import figures, pages
    from blackbox.report import shown as kept

    result.save(path)
    kept.of_attack(path, result, data)
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

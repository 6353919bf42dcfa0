"""``blackbox attack``: run one or several query attacks on a target, and save the results in a folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.cli import logs, options, run_folder, training
from blackbox.cli.chosen import bought, informed, parameters, serving, surrogate_nets
from blackbox.cli.exits import FAILED, NO_SUCCESS, STOPPED, TRACEBACK, Exit
from blackbox.cli.progress import attack_progress, say
from blackbox.goals import base as goals
from blackbox.results import words
from blackbox.specs import channels as between
from blackbox.specs import goal, goal_text, starts

if TYPE_CHECKING:
    import numpy as np
    import torch

    from blackbox.goals.base import Goal
    from blackbox.loggers.logger import Log
    from blackbox.oracle.oracle import Oracle
    from blackbox.report.pages import Page
    from blackbox.results import AttackResult
    from blackbox.tariff import Tariff
    from blackbox.threat import Threat


@dataclass
class Job:
    """What has been read and checked before the first query. goal: target classes. first: start images. answers: bought for
    training. aim: the goal where that is not one class. mask: what may change. tariff: what an image may cost in money and flags."""

    target: specs.Model
    shown: specs.ImageSet
    threat: Threat
    access: str
    attacks: dict[str, Any]
    oracles: dict[str, Oracle]
    goal: torch.Tensor | int | None
    first: torch.Tensor | None
    classes: int
    answers: int = 0
    aim: Goal | None = None
    mask: np.ndarray | None = None
    tariff: Tariff | None = None


def run(
    target: str, how: options.Search, known: options.Surrogates, images: options.Images, within: options.Within,
    nets: options.Nets, common: options.Run, keep: options.Keep, log: list[str] | None = None,
) -> None:  # fmt: skip
    """Check everything that can be checked before the first query, attack, save, print."""
    logs.opened(log)
    job = prepare(target, how, known, images, within, nets, common, keep)
    path = run_folder.create(common.out, "attack", job.target.name, "-".join(job.attacks))
    told = {**asdict(how), **asdict(keep), **asdict(known), **asdict(images), **asdict(nets)}
    channels, nets_given = told.pop("channel") or [], told.pop("surrogate") or []
    used = {name: parameters(made) for name, made in job.attacks.items()}
    allowed = {"area": str(job.threat)} if how.patch or how.frame else {"norm": job.threat.norm, "eps": job.threat.eps}
    del told["settings"]  # they stand among the parameters
    run_folder.write_config(path, {
        "verb": "attack", **told, "target": job.target.spec, "parameters": used if len(used) > 1 else next(iter(used.values())),
        "threat": allowed, "access": job.access, "channels": channels,
        "surrogates": nets_given, "answers": job.answers, "n": len(job.shown.data), "left_out": job.shown.left_out, "classes": job.classes,
        "seed": common.seed, "device": str(next(iter(job.oracles.values())).device),
    })  # fmt: skip
    for name, made in job.attacks.items():
        most = how.budget if job.tariff is None else job.tariff.budget(how.budget)
        line = plan(made, name, job.target.name, job.shown.data, job.threat, most)
        say(words.of_inputs(line, job.shown.kind), common.quiet)
    for line in goal.said(how.targeted, job.shown):
        say(line, common.quiet)
    if job.aim is not None:
        say(f"goal             {job.aim}", common.quiet)
    if job.tariff is not None:
        say(f"tariff           {job.tariff}", common.quiet)
    if job.access != "answers":
        say(f"answers read as: {next(iter(job.oracles.values())).reading or 'what the first answer shows'}", common.quiet)
    results = carry_out(job, how, common, keep, path, logs.opened(log, path))
    if job.answers:
        bill = training.bill(job.answers, next(iter(results.values())))
        say(
            f"with training    {bill['total']:,.0f} queries in all, {bill['amortised']:.1f} an image; {bill['an image']:.1f} without",
            common.quiet,
        )
        (path / "training.json").write_text(json.dumps({"answers": job.answers, **bill}, indent=1) + "\n")
    tell(results, path, job.target.name, common.quiet)


def prepare(
    target: str, how: options.Search, known: options.Surrogates, images: options.Images, within: options.Within,
    nets: options.Nets, common: options.Run, keep: options.Keep,
) -> Job:  # fmt: skip
    """Read and check everything, and train surrogates where asked; no query before it all fits together."""
    area = specs.area(how.patch, how.frame, within)
    wanted, tariff = area or specs.one_threat(within, how.table is not None), specs.read_tariff(how.tariff)
    attacks = specs.build(how.attack, how.settings or [])
    stack = between.read(how.channel or [], how.defence or [])
    nets.set_threads()
    from blackbox.run import require, resolve

    any_form = goal_text.any_form(how.goal)
    shown = goal.others(how.targeted, specs.images(images, common.seed, labelled=not any_form, table=how.table))
    aim, mask = _aim(how, shown), specs.read_mask(how.mask, shown)
    serving(known, shown, aim)
    most = "answers" if any_form and how.access is None else between.access(how.access, stack)
    count = nets.classes or len(shown.data.classes)
    found = specs.retrying(specs.one_model(target, shown.data, count, nets), keep.retries, nets.device)
    shows = most if how.access or any_form else between.shown(found.model, most, found.returns)
    reach = specs.goals(how.targeted, shown, count, common.seed)
    mine = surrogate_nets(attacks, known.surrogate or [], known.own, shown, count, nets)
    pool = None if known.own is None else training.read(known.own, shown, count)
    asked = bought(how.answers, pool, attacks, bool(keep.checkpoint or keep.journal))
    first = starts.read(how.start, how.pool, shown, reach, attacks.values(), common.seed)
    # an oracle for each attack: a channel's random draws depend on the rows that it has seen
    oracles = {n: specs.oracle(found, shows, count, nets.device, stack=stack, seed=common.seed) for n in attacks}
    if known.own is not None and pool is not None:
        mine |= training.train(pool, known.own, known.arch, known.epochs, common)
    attacks = informed(attacks, list(mine.values()))
    shape = shown.data.shape if shown.table is None else tuple(shown.table.scale(shown.data.images[:1]).shape[1:])
    for name, made in attacks.items():
        bound = None if aim is None else goals.bound(aim, oracles[name], len(shown.data))
        level = None if bound is None else bound.level(oracles[name].access)
        chosen = resolve(made, oracles[name], wanted, shape, level=level)[1]
        require(chosen, name, shape, oracles[name], aim, len(shown.data))
    if asked is not None and pool is not None:  # nothing is bought for nets that do not fit
        taught = training.teach(list(mine.values()), pool, next(iter(oracles.values())), asked, len(shown.data), common)
        attacks = informed(attacks, taught)
    return Job(found, shown, wanted, shows, attacks, oracles, reach, first, count, asked or 0, aim, mask, tariff)


def _aim(how: options.Search, shown: specs.ImageSet) -> Goal | None:
    """The goal of ``--goal``. Raises: ValueError: an option beside it is for a class to reach."""
    if how.goal is None:
        return None
    beside = {"--targeted": how.targeted, "--pool": how.pool}
    if given := [name for name, value in beside.items() if value]:
        raise ValueError(f"Expected either --goal or {given[0]}, which is for a class to reach, but both were given.")
    return specs.read_goal(how.goal, shown)


def carry_out(
    job: Job, how: options.Search, common: options.Run, keep: options.Keep, path: Path, log: Log | None = None
) -> dict[str, AttackResult]:
    """Run the attacks one after the other and save each result as it finishes; a partial one if something ends it early."""
    import blackbox as bb
    from blackbox.oracle.kept import Kept

    alone, data, results = len(job.attacks) == 1, job.shown.data, {}
    for name, made in job.attacks.items():
        where = path if alone else path / name
        files = asdict(keep) if alone else Kept(keep.journal, keep.checkpoint).of(name)
        try:
            with attack_progress(common.quiet, "attack" if alone else name, job.aim is not None, job.shown.kind) as progress:
                results[name] = bb.attack(
                    job.oracles[name], data.images, None if job.access == "answers" else data.labels, made, job.threat, how.budget,
                    target=job.goal, goal=job.aim, mask=job.mask, table=job.shown.table,
                    seed=common.seed, start=job.first if starts.takes(made) else None, ids=job.shown.index,
                    checkpoint=files["checkpoint"], journal=files["journal"], cache=how.cache, progress=progress, votes=how.votes,
                    eight_bit=how.eight_bit, log=log, tariff=job.tariff,
                )  # fmt: skip
        except BaseException as error:
            reached = getattr(error, "result", None)
            if reached is None or isinstance(error, bb.CheckpointError):  # nothing was paid for: the file is another run's
                raise
            save(reached, where, data, job.target.name)
            results[name] = reached
            say_all(results, path, job.target.name, common.quiet, alone)
            if rest := [other for other in job.attacks if other not in results]:
                say(f"not run          {', '.join(rest)}", common.quiet)
            paid = int(reached.queries.sum())
            told = f"The results of the {paid:,} queries before it are saved in {where}. {keep.again(paid)}".strip()
            if isinstance(error, KeyboardInterrupt):
                raise Exit(STOPPED, f"Stopped. {told}") from error
            if isinstance(error, bb.TargetError):
                raise bb.TargetError(f"{error} {told}") from error
            if isinstance(error, Exception) and not os.environ.get(TRACEBACK):
                raise Exit(FAILED, f"{type(error).__name__}: {error} {told}") from error
            raise
        told = save(results[name], where, data, job.target.name, job.oracles[name], job.aim)
        say(f"pictures         {told}", common.quiet or job.shown.table is not None)
    return results


def tell(results: dict[str, AttackResult], path: Path, target: str, quiet: bool) -> None:
    """Print the summary or the comparison, and what was saved; exit code 3 when it is known that no image was fooled."""
    say_all(results, path, target, quiet, len(results) == 1)
    if not any(bool(result.success.any()) for result in results.values()):
        attacked = max(int(result.attacked.sum()) for result in results.values())
        said = f"none of the {attacked} images attacked was fooled" if attacked else "the target has every clean image wrong"
        if any(result.config.get("goal") for result in results.values()):
            said = f"none of the {attacked} inputs attacked reached the goal" if attacked else "every input reaches the goal as it is"
        raise Exit(NO_SUCCESS, words.of_inputs(f"No success: {said}.", words.kind_of([*results.values()])))


def say_all(results: dict[str, AttackResult], path: Path, target: str, quiet: bool, alone: bool) -> None:
    """Print the summary or the comparison, and what was saved. alone: only one attack was asked for."""
    from blackbox.cli import compare

    pictures = "" if next(iter(results.values())).x_clean is not None else " pictures,"
    if alone:
        say(next(iter(results.values())).summary(), quiet)
        saved = f"report.html, report.md, outcomes.csv, examples.safetensors,{pictures} run.json"
    else:
        say(compare.save(results, path, target), quiet)
        saved = f"report.html, report.md, outcomes.csv,{pictures} run.json; and a folder for each of {', '.join(results)}"
    say(f"saved            {path}/: {saved}", quiet)


def plan(attack: Any, name: str, target: str, data: Any, threat: Threat, budget: int) -> str:
    """The most queries the run may cost, by the attack's own plan where it has one."""
    method = getattr(attack, "plan", None)
    bill = method(data.shape, budget) if method is not None else None
    most = min(budget, bill.total) if bill is not None else budget
    line = (
        f"plan             {name} on {target}, {threat}: {len(data):,} images × at most {most:,} queries "
        f"= at most {len(data) * most:,}"
    )
    return line if bill is None else f"{line}\nan image         {str(bill)[0].lower()}{str(bill)[1:]}"


def save(result: AttackResult, path: Any, data: Any, target: str, oracle: Oracle | None = None, goal: Goal | None = None) -> str:
    """Write raw outcomes, summary, pictures and report, and a few of the clean images for later reports; returns what to say of
    the adversarial examples as pictures, of which rows of a table have none. oracle: to ask whether these still fool the target, or reach
    the ``goal``."""
    from blackbox.report import build, figures, runs
    from blackbox.report import shown as kept
    from blackbox.results import pictures
    from surrogates.data.loaders import UNLABELLED

    if data.classes != UNLABELLED and not all(map(str.isdecimal, data.classes)):
        result.config.setdefault("class_names", list(data.classes))
    result.save(path)
    told, pictured = "none: the images have neither 1 nor 3 channels", result.x_clean is None
    if pictured:
        if data.shape[0] in (1, 3):
            saved = result.save_pictures(path / "adversarial", data.images, data.classes, oracle, goal)
            told = pictures.told(saved, bool(words.goal_of(result.config)))
        kept.of_attack(path, result, data)
        figures.examples(result, data.images, data.classes, path / "examples.png")

    def files(page: Page) -> None:
        page.head("Files")
        if pictured:
            page.text(f"Pictures, in the folder adversarial: {told}.")
        page.text("Raw outcomes: outcomes.csv, one line an image. Settings and versions: run.json.")

    images = {"": looked} if (looked := kept.read(path)) is not None else {}
    run = runs.own(path, attacks={"": result}, images=images)
    build.write_own(run, f"{result.config['attack']} on {target}", result.summary(), files)
    return told

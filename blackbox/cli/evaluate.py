"""``blackbox evaluate``: how robust is this model, at each level of access and each number of queries?"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.cli import gate as gates
from blackbox.cli import options, run_folder, training
from blackbox.cli.chosen import serving
from blackbox.cli.exits import Exit, cut_off
from blackbox.cli.progress import attack_progress, say
from blackbox.evaluation.judged import levels_of
from blackbox.results import words
from blackbox.specs import channels as between
from blackbox.specs import goal_text, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blackbox.engine import Progress
    from blackbox.evaluation.evaluation import Evaluation
    from blackbox.goals.base import Goal
    from blackbox.report.pages import Page
    from blackbox.tariff import Tariff
    from blackbox.threat import Threat


def run(
    target: str, budgets: str, levels: str | None, channels: list[str], known: options.Surrogates, images: options.Images,
    within: options.Within, nets: options.Nets, common: options.Run, keep: options.Keep, gate: gates.Gate,
    attack: str = "auto", ceiling: str | None = None, defence: list[str] | None = None, goal: str | None = None, table: str | None = None,
    tariff: str | None = None,
) -> None:  # fmt: skip
    """Check, train surrogates, evaluate, save, print."""
    wanted, prices = specs.one_threat(within, table is not None), specs.read_tariff(tariff)
    counts = [parse.integer(word, "--budgets") for word in parse.words(budgets)]
    stack = between.read(channels, defence or [])
    nets.set_threads()

    import blackbox as bb

    top = _ceiling(ceiling)
    any_form = goal_text.any_form(goal)
    shown = specs.images(images, common.seed, labelled=not any_form, table=table)
    aim = specs.read_goal(goal, shown)
    serving(known, shown, aim)
    count = nets.classes or len(shown.data.classes)
    found = specs.retrying(specs.one_model(target, shown.data, count, nets), keep.retries, nets.device)
    most = between.shown(found.model, between.access(None, stack), found.returns)
    shows = parse.words(levels) if levels else [*levels_of(aim, most)]
    for level in shows:  # refuse a level that channels or target hide before anything is trained
        specs.oracle(found, between.access(level, stack), count, nets.device, stack=stack)
    bar = gates.opened(gate, wanted, shown, shows, counts, _rows(wanted, known, images, found, aim, table), str(aim or ""))
    path = run_folder.create(common.out, "evaluate", found.name)
    run_folder.write_config(path, {
        "verb": "evaluate", "target": found.spec, "target_name": found.name,
        "attack": attack, "goal": goal, "table": table, "tariff": tariff, "threat": {"norm": wanted.norm, "eps": wanted.eps},
        "budgets": counts, "levels": shows, "ceiling": top, "channels": channels, "defence": defence or [],
        "surrogates": known.surrogate or [], "own": known.own, "arch": known.arch, "epochs": known.epochs,
        **asdict(gate), **asdict(keep), **asdict(images), **asdict(nets), "n": len(shown.data), "classes": count, "seed": common.seed,
    })  # fmt: skip
    mine = _surrogates(known, images, shown, count, nets, common, any_form)
    say(_plan(found.name, wanted, shown, counts, shows, list(mine), aim, prices), common.quiet)
    with ExitStack() as bars:

        def progress(what: str) -> Callable[[Progress], None] | None:
            bars.close()  # the previous bar is done
            return bars.enter_context(attack_progress(common.quiet, what, aim is not None, shown.kind))

        try:
            got = bb.evaluate(
                lambda access: specs.oracle(found, access, count, nets.device, stack=stack, seed=common.seed),
                shown.data.images, None if any_form else shown.data.labels, wanted, goal=aim, table=shown.table, nets=mine, tariff=prices,
                white_box=found.net, ceiling=top if ceiling or found.net else None,
                attack=attack, budgets=counts, levels=shows, seed=common.seed, ids=shown.index, progress=progress, journal=keep.journal,
                checkpoint=keep.checkpoint, saved=lambda so_far: so_far.save(path),
            )  # fmt: skip
        except BaseException as error:
            reached = getattr(error, "result", None)
            if reached is None:
                raise
            bars.close()
            _save(reached, path, f"How robust is {found.name}?")
            say(reached.table(), common.quiet)
            told = f"What is known is saved in {path}. {keep.again()}"
            with suppress(Exit):  # the failure says more than a verdict on half of it; this is saved
                bar.close(reached, path, common.quiet, str(error) or type(error).__name__)
            if not isinstance(error, (bb.TargetError, KeyboardInterrupt)):
                raise
            raise cut_off(error, told) from error
    _save(got, path, f"How robust is {found.name}?")
    say(got.table(), common.quiet)
    say(f"saved            {path}/: report.html, report.md, robustness.png, evaluation.json, run.json, a folder a run", common.quiet)
    bar.close(got, path, common.quiet)


def _plan(
    name: str, wanted: Threat, shown: specs.ImageSet, counts: list[int], shows: list[str], mine: list[str], aim: Goal | None,
    prices: Tariff | None = None,
) -> str:  # fmt: skip
    counts = counts if prices is None else [prices.budget(count) for count in counts]
    images, levels = len(shown.data), f"{len(shows)} level{'s' * (len(shows) > 1)} of access"
    line = (
        f"plan             {name}, {wanted}: {images:,} images × ({' + '.join(f'{b:,}' for b in counts)}) queries × "
        f"{levels} = at most {images * sum(counts) * len(shows):,}; surrogates: {', '.join(mine) or 'none'}"
    )
    return words.of_inputs(line, shown.kind) + "".join(
        f"\n{what:<17}{given}" for what, given in (("goal", aim), ("tariff", prices)) if given is not None
    )


def _ceiling(text: str | None) -> dict[str, int]:
    """``--ceiling`` as settings of the white-box ensemble."""
    from blackbox.evaluation.evaluation import ceiling_settings

    known = {name: (int, value) for name, value in ceiling_settings(None).items()}
    given = parse.assign(known, parse.words(text or ""), "a setting of the white-box ensemble", "--ceiling as name=value")
    return ceiling_settings(given)


def _rows(
    wanted: Threat, known: options.Surrogates, images: options.Images, found: specs.Model, aim: Goal | None, table: str | None
) -> list[str]:
    """The rows without a budget that there will be."""
    from blackbox.evaluation.evaluation import bounded

    nets = known.surrogate or known.own or (images.data.lower() == "digits" and (aim is None or aim.needs.name != "ANSWERS"))
    crafted = table is None and (aim is None or aim.differentiable)
    there = {
        "clean": True, "noise": wanted.norm == "Linf", "transfer": bool(nets) and crafted,
        "white-box": found.net is not None and bounded(wanted) and crafted,
    }  # fmt: skip
    return [name for name, is_there in there.items() if is_there]


def _surrogates(
    known: options.Surrogates, images: options.Images, shown: specs.ImageSet, count: int, nets: options.Nets, common: options.Run,
    any_form: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The surrogates given, and those trained on ``--own``; for the digits on their surrogate part by default, where a target has classes:
    not where it answers in ``any_form``."""
    mine = specs.sources(known.surrogate or [], "--surrogate", shown, count, nets)
    own = known.own if known.own or mine or any_form or images.data.lower() != "digits" else "digits"
    if own is not None:
        mine |= training.train(training.read(own, shown, count), own, known.arch, known.epochs, common)
    return mine


def _save(got: Evaluation, path: Path, title: str) -> None:
    """Write every row, the table, and the page."""
    from blackbox.report import build, runs

    got.save(path)
    (path / "summary.txt").write_text(got.table() + "\n")

    def files(page: Page) -> None:
        page.head("Files")
        page.text("Images by row: evaluation.json. Raw outcomes of each run: the folders beside it. Settings and versions: run.json.")

    build.write_own(runs.own(path, evaluation=got), title, got.table(), files)

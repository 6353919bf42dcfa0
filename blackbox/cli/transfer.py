"""``blackbox transfer``: craft on surrogates, show to targets, and compare transfer rates with noise of the same size."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.cli import options, run_folder
from blackbox.cli.exits import cut_off
from blackbox.cli.progress import Line, say
from blackbox.specs import goal, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blackbox.report.pages import Page
    from surrogates import TransferMatrix


def run(
    source: list[str], to: list[str], attacks: str, *, steps: int | None, given: str, targeted: str | None,
    images: options.Images, within: options.Within, nets: options.Nets, common: options.Run, keep: options.Keep,
) -> None:  # fmt: skip
    """Check, plan, measure, save, print."""
    from surrogates.crafting import presets
    from surrogates.transfer.conditions import GIVEN

    seed, quiet, device = common.seed, common.quiet, nets.device
    radii = specs.threats(within)
    names = parse.words(attacks)
    if not names:
        raise ValueError("Expected --attacks to name at least one, for example fgsm,mi-fgsm, but it was empty.")
    recipes = [presets.get(name) for name in names]
    if given not in GIVEN:
        raise ValueError(f"Expected --given to be one of {', '.join(GIVEN)}, but it was {given!r}.")
    nets.set_threads()

    import blackbox as bb
    import surrogates as sg
    from blackbox.report import shown as kept

    shown = goal.others(targeted, specs.images(images, seed))
    count = nets.classes or len(shown.data.classes)
    sources = specs.sources(source, "--from", shown, count, nets)
    targets: dict[str, Any] = {}
    for model in specs.several(to, shown, count, nets):
        tried = specs.retrying(model, keep.retries, device)
        targets[specs.free(model.name, targets)] = specs.oracle(tried, "labels", count, device)
    path = run_folder.create(common.out, "transfer", *sources)
    effective = {
        "verb": "transfer", "from": source, "to": to, "attacks": [r.name for r in recipes],
        "threats": [{"norm": r.norm, "eps": r.eps} for r in radii], "steps": steps, "given": given, "targeted": targeted,
        **asdict(keep), **asdict(images), **asdict(nets), "n": len(shown.data), "left_out": shown.left_out,
        "classes": count, "seed": seed, "device": device or "cpu",
    }  # fmt: skip
    run_folder.write_config(path, effective)
    cells = len(sources) * len(recipes) * len(radii)
    _tell_plan(cells, sum(2 if r.norm == "Linf" else 1 for r in radii), len(targets), goal.said(targeted, shown), len(shown.data), quiet)
    last = kept.LastCell()  # a few of its images are kept for reports
    try:
        matrix = sg.transfer_matrix(
            sources, targets, shown.data.images, shown.data.labels, recipes, radii,
            target=specs.goals(targeted, shown, count, seed), steps=steps, seed=seed, ids=shown.index, keep=last,
            progress=_progress(cells + len(radii) + 1, quiet), journal=keep.journal or keep.checkpoint,
        )  # fmt: skip
    except (bb.TargetError, KeyboardInterrupt) as error:
        if (reached := getattr(error, "result", None)) is None:
            raise
        save(reached, path, given)
        say(reached.table(given), quiet)
        told = f"The answers before it are saved in {path}. {keep.again()}"
        raise cut_off(error, told) from error
    kept.of_transfer(path, matrix, last, shown.data)
    save(matrix, path, given)
    say(matrix.table(given), quiet)
    say("queries          " + ", ".join(f"{name} {spent:,}" for name, spent in matrix.queries.items()), quiet)
    say(f"saved            {path}/: report.html, report.md, transfer.png, outcomes.csv, rates.csv, run.json", quiet)


def _tell_plan(cells: int, noise: int, targets: int, left_out: list[str], n: int, quiet: bool) -> None:
    """Say what will be shown to the targets, and which images will not."""
    say(
        f"plan             {cells} × {n:,} examples, shown to {targets} target{'s'[: targets > 1]}: "
        f"{n * (1 + cells + noise):,} queries each, {noise * n:,} of them for noise",
        quiet,
    )
    for line in left_out:
        say(line, quiet)


def _progress(cells: int, quiet: bool) -> Callable[[str], None]:
    """A line on each cell as it begins."""
    line, count = Line(quiet), itertools.count(1)

    def told(cell: str) -> None:
        done = next(count)
        line(f"{done} of {cells}: {cell}", done == cells)

    return told


def save(matrix: TransferMatrix, path: Path, given: str) -> None:
    """Write raw outcomes, table, heat map and report."""
    from blackbox.report import build, raw, runs
    from blackbox.report import shown as kept

    matrix.save(path)
    raw.write_transfer(matrix, path / "outcomes.csv")
    raw.write_rates(matrix, path / "rates.csv")
    text = matrix.table(given)
    (path / "summary.txt").write_text(text + "\n")
    images = {"transfer": looked} if (looked := kept.read(path)) is not None else {}
    run = runs.own(path, matrix=matrix, images=images)
    run.made = {**run.made, "settings": {**run.settings, "given": given}}
    title = f"Transfer from {', '.join(matrix.sources)} to {', '.join(matrix.targets)}"

    def files(page: Page) -> None:
        page.head("Files")
        page.text("Raw outcomes: outcomes.csv, one line an image and cell; every rate: rates.csv. Settings and versions: run.json.")

    build.write_own(run, title, text, files)

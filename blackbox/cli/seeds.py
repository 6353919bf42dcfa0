"""``blackbox attack --seeds 0,1,2``: the same attack with several seeds, and what they say together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blackbox.cli import attack, options, run_folder
from blackbox.cli.exits import NO_SUCCESS, Exit
from blackbox.cli.progress import say
from blackbox.specs import parse

if TYPE_CHECKING:
    from pathlib import Path

    from blackbox.results import AttackResult


def run(
    target: str, how: options.Search, known: options.Surrogates, images: options.Images, within: options.Within,
    nets: options.Nets, common: options.Run, keep: options.Keep, log: list[str] | None = None,
) -> None:  # fmt: skip
    """With --seeds: each attack with each seed in a folder of its own, pooled; exit code 3 when no image was ever fooled."""
    if how.seeds is None:
        return attack.run(target, how, known, images, within, nets, common, keep, log)
    from blackbox.results.pooled import folders

    seeds, names = _read(how, images, common), parse.words(how.attack)
    path = run_folder.create(common.out, "attack", "seeds")
    planned = {"verb": "seeds", "target": target, "attacks": names, "seeds": seeds, "budget": how.budget}
    _require_own(path, planned)
    run_folder.write_config(path, planned)
    fooled = False
    for name, where in zip(names, folders(path, names), strict=True):
        one = replace(how, attack=name, seeds=None, settings=_own(how.settings, name, len(names)))
        found = []
        for seed in seeds:
            part = name if len(names) > 1 else ""
            files = _files(keep, "-".join(word for word in (part, f"seed{seed}") if word))
            mine = replace(common, seed=seed, out=str(where / f"seed-{seed}"))
            say(f"seed             {seed}: {name}", common.quiet)
            found.append(_one(target, one, known, images, within, nets, mine, files, log))
        fooled |= any(bool(result.success.any()) for result in found)
        _pooled(found, where, common.quiet)
    if not fooled:
        goal = "inputs attacked reached the goal" if how.goal else f"{'rows' if how.table else 'images'} attacked was fooled"
        raise Exit(NO_SUCCESS, f"No success: none of the {goal} with any seed.")


def _require_own(path: Path, planned: dict[str, Any]) -> None:
    """Refuse a folder of another command, whose results would stand among these."""
    made = path / "run.json"
    if made.is_file():
        settings = json.loads(made.read_text(encoding="utf-8")).get("settings", {})
        if {name: settings.get(name) for name in planned} != planned:
            raise ValueError(f"Expected --out to be a new folder, or that of the same command, but {path} is of another command.")


def _read(how: options.Search, images: options.Images, common: options.Run) -> list[int]:
    if common.seed:
        raise ValueError(f"Expected either --seed or --seeds, but both were given: {common.seed} and {how.seeds}.")
    seeds = [parse.integer(word, "--seeds") for word in parse.words(how.seeds or "")]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"Expected --seeds as different whole numbers, such as 0,1,2, but it was {how.seeds!r}.")
    if images.pick == "random":
        raise ValueError(
            "Expected the same images for all seeds, but --pick random chooses others with each. Use --pick spread, or first."
        )
    return seeds


def _files(keep: options.Keep, part: str) -> options.Keep:
    """The same journal or checkpoint, in a file of its own for this part."""
    from blackbox.oracle.kept import beside

    journal, checkpoint = (None if p is None else str(beside(p, part)) for p in (keep.journal, keep.checkpoint))
    return replace(keep, journal=journal, checkpoint=checkpoint)


def _own(settings: list[str] | None, name: str, attacks: int) -> list[str] | None:
    """The settings of one of several attacks, without its name before them."""
    if attacks == 1 or settings is None:
        return settings
    return [text.removeprefix(f"{name}.") for text in settings if text.startswith(f"{name}.")]


def _one(
    target: str, how: options.Search, known: options.Surrogates, images: options.Images, within: options.Within,
    nets: options.Nets, common: options.Run, keep: options.Keep, log: list[str] | None,
) -> AttackResult:  # fmt: skip
    """The result of a single run, which prints and saves itself. No success is no end: other seeds may have some."""
    from blackbox.results import AttackResult

    try:
        attack.run(target, how, known, images, within, nets, common, keep, log)
    except Exit as end:
        if end.code != NO_SUCCESS:
            raise
    assert common.out is not None
    return AttackResult.load(common.out)


def _pooled(found: list[AttackResult], where: Path, quiet: bool) -> None:
    from blackbox.report import build, runs, shown, style
    from blackbox.results.pooled import pool

    pooled = pool(found)
    pooled.save_summary(where)
    parts = {f"seed-{seed}": result for seed, result in zip(pooled.seeds, found, strict=True)}
    first = next(iter(parts))
    images = {first: looked} if (looked := shown.read(where / first)) is not None else {}
    run = runs.own(where, attacks=parts, images=images, pooled={"": pooled})
    c = found[0].config
    with style.formats(["pdf"]):
        build.write_own(run, f"{c['attack']} on {c['target']}, {len(found)} seeds", pooled.summary())
    files = "a folder a seed, report.html, report.md, summary.txt, curve.png, curve.pdf"
    say(f"{pooled.summary()}\nsaved            {where}/: {files}", quiet)

"""``blackbox tune``: choose an attack's settings on your own models, without a query to the target."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.cli import options, run_folder
from blackbox.cli.progress import Line, say
from blackbox.specs import parse

if TYPE_CHECKING:
    from blackbox.evaluation.tuned import Tuned


def run(
    attack: str, grid: list[str], models: list[str], budget: int, access: str, jobs: int, cache: str | None, *,
    images: options.Images, within: options.Within, nets: options.Nets, common: options.Run, keep: options.Keep,
    search: options.Trials,
) -> None:  # fmt: skip
    """Check, run every setting, or those that a search in ranges tries, save, print."""
    wanted = specs.one_threat(within)
    searched = any(".." in pair.partition("=")[2] for pair in grid)
    values: dict[str, Any] = _ranges(attack, grid) if searched else _grid(attack, grid)
    nets.set_threads()

    import blackbox as bb

    tried = bb.ranges(attack, **values) if searched else bb.variants(attack, **values)
    shown = specs.images(images, common.seed)
    count = nets.classes or len(shown.data.classes)
    mine: dict[str, Any] = {}
    for model in specs.several(models, shown, count, nets):
        own = model.net if model.net is not None else model.model
        mine[specs.free(model.name, mine)] = own if not keep.retries else specs.retrying(model, keep.retries, nets.device).model
    path = run_folder.create(common.out, "tune", attack)
    effective = {
        "verb": "tune", "attack": attack, "grid": values, "models": models, "budget": budget, "access": access,
        "threat": {"norm": wanted.norm, "eps": wanted.eps}, **asdict(keep), **asdict(images), **asdict(nets), "n": len(shown.data),
        "classes": count, "seed": common.seed,
    }  # fmt: skip
    run_folder.write_config(path, effective)
    count_of = len(tried) if isinstance(tried, dict) else search.trials
    runs = count_of * len(mine)
    say(
        f"plan             {count_of} settings of {attack} × {len(mine)} models, {wanted}, {len(shown.data):,} images × at most "
        f"{budget:,} queries = at most {runs * len(shown.data) * budget:,} of your own models, none of a target",
        common.quiet,
    )
    try:
        found = bb.tune(
            tried, mine, shown.data.images, shown.data.labels, wanted, budget, access=access, classes=count, seed=common.seed,
            ids=shown.index, jobs=jobs, cache=cache, journal=keep.journal, checkpoint=keep.checkpoint,
            trials=search.trials, storage=search.storage, sampler=search.sampler, progress=_told(common.quiet),
        )  # fmt: skip
    except bb.TargetError as error:
        raise bb.TargetError(f"{error} Nothing is chosen yet. {keep.again()}") from error
    body = {"chosen": found.chosen, "budget": budget, "rows": found.records()}
    (path / "tuned.json").write_text(json.dumps(body, indent=1) + "\n")
    (path / "summary.txt").write_text(found.table() + "\n")
    say(found.table(), common.quiet)
    chosen = " ".join(f"--set {pair}" for pair in found.chosen.split(", "))
    say(f"next             blackbox attack --attack {attack} {chosen} …", common.quiet)
    say(f"saved            {path}/: tuned.json, summary.txt, run.json", common.quiet)


def _told(quiet: bool) -> Callable[[int, int, Tuned], None]:
    """A line on each trial of a search."""
    line = Line(quiet)

    def told(done: int, total: int, found: Tuned) -> None:
        best = f"best so far {found.chosen} with {found.score(found.chosen):.1f} queries an image"
        line(f"{done} of {total} settings tried, {len(found.stopped)} stopped early, {best}", done == total)

    return told


def _ranges(attack: str, pairs: list[str]) -> dict[str, Any]:
    """``["p_init=0.01..0.5:log", "rescale=true,false"]`` -> ranges and lists, each end read as the attack's field is typed."""
    from blackbox import attacks

    kind, out = attacks.get(attack), dict[str, Any]()
    for pair in pairs:
        name, equals, rest = pair.partition("=")
        if ".." not in rest:
            out.update(_grid(attack, [pair]))
            continue
        ends, _, scale = rest.partition(":")
        low, _, high = ends.partition("..")
        if not equals or not low or not high or scale not in ("", "log"):
            raise ValueError(f"Expected --set NAME=LOW..HIGH or NAME=LOW..HIGH:log, for example p_init=0.01..0.5:log, but it was {pair!r}.")
        read = [specs.settings(kind, [f"{name}={end}"])[name] for end in (low, high)]
        out[name] = (*read, *([scale] if scale else []))
    return out


def _grid(attack: str, pairs: list[str]) -> dict[str, list[Any]]:
    """``["p_init=0.1,0.4"]`` -> {"p_init": [0.1, 0.4]}, each value read as the attack's field is typed."""
    from blackbox import attacks

    kind, out = attacks.get(attack), {}
    for pair in pairs:
        name, equals, rest = pair.partition("=")
        values = parse.words(rest)
        if not equals or not values:
            raise ValueError(f"Expected --set NAME=VALUE,VALUE, for example p_init=0.1,0.4, but it was {pair!r}.")
        read = [specs.settings(kind, [f"{name}={value}"]) for value in values]
        out.update({key: [one[key] for one in read] for key in read[0]})
    if not out:
        raise ValueError(f"Expected --set with values of {attack} to choose among, for example --set p_init=0.1,0.4, but there was none.")
    return out

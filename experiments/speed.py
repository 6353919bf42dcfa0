"""How near to the bare forward pass does an attack run?

    python -m experiments.speed --data ../shared/data

Two ratios, each from one process on one machine, so that the machine's mood cancels:

  same calls   wall time of the attack / time of the bare net on the very same calls: the sizes, the order, and the images
               that the attack asked about (on clean digits, which are mostly zeros, max-pooling is a quarter faster than
               on attacked ones: its branches are foreseen)
  best rate    wall time of the attack / time of the bare net on as many rows as were counted, at its best batch size;
               the wall time holds the uncharged check of every claimed success too

Same calls: each bare call is made beside the attack's own, before it and behind it in turn (`Beside`). Best rate: the attack
and the bare calls are run in turn. Both ``repeats`` times; the median of the ratios is reported with the smallest and the
largest. Writes experiments/results/speed.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module

import blackbox as bb
from blackbox import attacks
from experiments.real import Case, cifar, mnist

OUT = Path("experiments/results/speed.json")


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    few: int = 100  # images for the first ratio
    many: int = 1000  # images for the second
    budget: int = 1000  # of square, which needs few queries
    short: int = 105  # of the others: the ratio needs no complete run
    repeats: int = 3
    sustained: float = 2.0  # seconds of bare calls at each batch size, to find the best
    seed: int = 0
    attacks: tuple[str, ...] = ("square", "simba", "nes", "fd-ifgsm")
    best_rate: tuple[str, ...] = ("square",)
    best_rate_target: str = "CIFAR ResNet-20"


def bare(net: Module, calls: Iterable[Tensor]) -> float:
    """Seconds of the net alone on these calls, in this order: a change of size costs a net something too."""
    with torch.inference_mode():
        begin = time.perf_counter()
        for x in calls:
            net(x)
        return time.perf_counter() - begin


class Beside:
    """Repeats each call of a net at once, so that a mood of the machine that lasts longer than one call weighs on both.

    Whichever of the two comes second finds the weights in the cache: the repeat comes before its call and behind it in turn.
    """

    def __init__(self, net: Module) -> None:
        self.net, self.calls, self.alone, self.inside = net, 0, 0.0, False

    def before(self, net: Module, given: tuple[Tensor, ...]) -> None:
        if not self.inside and self.calls % 2 == 0:
            self.repeat(given[0])

    def behind(self, net: Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        if not self.inside:
            if self.calls % 2:
                self.repeat(given[0])
            self.calls += 1

    def repeat(self, x: Tensor) -> None:
        self.inside = True  # the repeat runs the hooks too: having them costs both the same
        self.alone += bare(self.net, [x])
        self.inside = False


def over_bare(net: Module, work: Callable[[], object]) -> float:
    """Wall time of ``work`` over that of the net alone on the very same calls, images and all."""
    beside = Beside(net)
    hooks = [net.register_forward_pre_hook(beside.before), net.register_forward_hook(beside.behind)]
    try:
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin - beside.alone) / beside.alone
    finally:
        for hook in hooks:
            hook.remove()


def rates(case: Case, seconds: float) -> dict[int, float]:
    """Rows a second that the bare net sustains at each batch size, over ``seconds`` of calls each."""
    found = {}
    for size in (8, 16, 32, 64, 128, 256, 512):
        took, rows = 0.0, 0
        while took < seconds:
            took += bare(case.net, clean(case, [size]))
            rows += size
        found[size] = rows / took
    return found


def clean(case: Case, sizes: list[int]) -> list[Tensor]:
    """Calls of these sizes, of clean images."""
    pool = case.images.repeat(-(-max(sizes) // len(case.images)), 1, 1, 1)
    return [pool[:size] for size in sizes]


def run(case: Case, name: str, settings: Settings) -> bb.Oracle:
    """One attack; its oracle, which has counted."""
    oracle = bb.Oracle(case.net, access="scores", classes=10)
    chosen = attacks.build(name, **({"method": "groups"} if name == "fd-ifgsm" else {}))
    budget = settings.budget if name == "square" else settings.short
    bb.attack(oracle, case.images, case.labels, chosen, case.threat, budget, seed=settings.seed)
    return oracle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    parser.add_argument("--only", choices=("same calls", "best rate"), help="one ratio; the other's rows are kept")
    given = parser.parse_args()
    settings = Settings(data=given.data, repeats=given.repeats)
    root = Path(settings.data)
    rows = [row for row in json.loads(OUT.read_text())["rows"] if row["ratio"] != given.only] if given.only else []
    for case in (mnist(root, settings.few), cifar(root, settings.few)) if given.only != "best rate" else ():
        for name in settings.attacks:
            counted = run(case, name, settings).rows  # not timed: the first calls of a net and of an attack are slow
            ratios = [over_bare(case.net, partial(run, case, name, settings)) for _ in range(settings.repeats)]
            rows.append(report("same calls", case, name, settings.few, counted, ratios))
            save(settings, rows)
    many = cifar(root, settings.many)
    for name in settings.best_rate if given.only != "same calls" else ():
        ratios, counted = [], 0
        for _ in range(settings.repeats):
            found = rates(many, settings.sustained)
            best = max(found, key=lambda size: found[size])
            begin = time.perf_counter()
            counted = run(many, name, settings).rows
            wall = time.perf_counter() - begin
            full, rest = divmod(counted, best)
            ratios.append(wall / bare(many.net, clean(many, [best] * full + [rest] * (rest > 0))))
        rows.append(report("best rate", many, name, settings.many, counted, ratios))
    print("wrote", save(settings, rows))


def save(settings: Settings, rows: list[dict[str, object]]) -> Path:
    """Write what there is so far."""
    machine = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    OUT.write_text(json.dumps({"settings": asdict(settings), "machine": machine, "rows": rows}, indent=1) + "\n")
    return OUT


def report(kind: str, case: Case, name: str, n: int, counted: int, ratios: list[float]) -> dict[str, object]:
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(
        f"{kind:11} {case.name:16} {name:10} n={n:<5} rows={counted:<7} {middle:.3f}  [{low:.3f}, {high:.3f}]",
        flush=True,
    )
    return {
        "ratio": kind,
        "target": case.name,
        "attack": name,
        "n": n,
        "rows": counted,
        "median": middle,
        "all": ratios,
    }


if __name__ == "__main__":
    main()

"""``blackbox doctor``: check the installation, and the counting of queries against control targets."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from typing import TYPE_CHECKING

from blackbox.cli import installed
from blackbox.cli.exits import FAILED, Exit
from blackbox.environment import versions
from blackbox.plain_text import lay
from blackbox.specs import digits

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.oracle.oracle import Oracle
    from blackbox.results import AttackResult


def run(attack: str | None = None, settings: list[str] | None = None) -> None:
    """Print what is there; exit code 1 if counting is wrong. With an attack: check its contract alone."""
    if attack is not None:
        _contract(attack, settings or [])
        return
    import torch

    import blackbox as bb

    line("blackbox", f"{bb.__version__}, python {platform.python_version()}, {platform.system()} {platform.machine()}")
    line("packages", ", ".join(f"{k} {v}" for k, v in versions().items() if k not in ("blackbox", "python")))
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    line("torch build", f"{build}, {torch.get_num_threads()} threads of {os.cpu_count()} cores")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        line("accelerator", names)
    else:
        line("accelerator", "none; everything runs on the CPU")
    print(f"\n{lay(installed.rows(), left=3)}\n", flush=True)
    faults = check()
    if faults:
        raise Exit(FAILED, "\n".join(["The self-check of counting failed:", *faults]))


def _contract(name: str, pairs: list[str]) -> None:
    """Run the contract that every attack must pass: one line a check, and what is wrong.

    Raises:
        Exit: a check failed.
    """
    from blackbox import attacks, specs
    from blackbox.testing.contract_run import run_contract

    attack = attacks.build(name, **specs.settings(attacks.get(name), pairs))
    faults, cases = [], Counter[str]()
    for found in run_contract(attack):
        cases[found.name] += 1
        if found.fault:
            faults.append(f"{found.name}{f' ({found.case})' if found.case else ''}: {found.fault}")
    for check, count in cases.items():
        wrong = sum(fault.startswith(check) for fault in faults)
        line("FAILED" if wrong else "ok", check + (f", {wrong} of {count} cases" if wrong else f", {count} cases" if count > 1 else ""))
    if faults:
        raise Exit(FAILED, "\n".join([f"{name} fails the contract of attacks (docs/how-to/write-an-attack.md):", *faults]))


def line(name: str, text: str) -> None:
    """One finding."""
    print(f"{name:<16} {text}", flush=True)


class Control:
    """A target that counts its own rows, and predicts class 1 when the mean of an image is above ``limit``, else class 0."""

    def __init__(self, limit: float) -> None:
        self.limit, self.seen = limit, 0

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        self.seen += len(x)
        mean = x.flatten(1).mean(1)
        return torch.stack([torch.full_like(mean, self.limit), mean], 1)


def check() -> list[str]:
    """Run attacks on control targets whose outcome is known; returns what is wrong.

    Always 0: no image can reach a mean of 2, so success is 0 %, and every budget is spent or the attack's loop ends.
    Affine: grey images of 0.45 lie at Linf distance 0.05 from the limit 0.5, so one exact sign step fools all of them
    with a radius 10 % larger and none with one 10 % smaller.
    """
    import torch

    import blackbox as bb
    from blackbox.testing.priors import LinearPrior

    faults: list[str] = []
    noise = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    grey = torch.full((12, 1, 8, 8), 0.45)
    cases: list[tuple[str, str, float, Tensor, float, int, float]] = [
        (name, "a target that always answers 0", 2.0, noise, 0.1, 37, 0.0) for name in bb.attacks.names()
    ]
    cases += [
        ("fd-fgsm", "an affine target within reach", 0.5, grey, 0.055, 200, 1.0),
        ("fd-fgsm", "an affine target out of reach", 0.5, grey, 0.045, 200, 0.0),
    ]
    begin, rows = time.perf_counter(), Counter[str]()
    groups: dict[str, list[str]] = {}
    for name, what, limit, x, eps, budget, expected in cases:
        target = Control(limit)
        oracle = bb.Oracle(target, access="logits", classes=2, returns="logits")
        groups.setdefault(what, []).append(name)
        try:
            kind = bb.attacks.get(name)
            threat = digits.threat(kind.norms, eps)
            knows = LinearPrior.noise(2, shape=(1, 8, 8)) if getattr(kind, "needs_prior", False) else None
            result = bb.attack(oracle, x, torch.zeros(12, dtype=torch.int64), name, threat, budget, seed=1, prior=knows)
        except (Exception, SystemExit) as error:  # a broken attack is a finding, not the end of the check
            faults.append(f"{name} on {what}: {type(error).__name__}: {error}")
        else:
            faults += judge(f"{name} on {what}", target.seen, oracle, result, expected)
            rows[what] += target.seen
    for what, names in groups.items():
        wrong = [name for name in names if any(fault.startswith(f"{name} on {what}") for fault in faults)]
        state, who = "FAILED" if wrong else "ok", ", ".join(wrong) or (names[0] if len(names) == 1 else f"all {len(names)} attacks")
        line("self-check", f"{state:<6} {who} on {what}: {rows[what]:,} rows seen" + ("" if wrong else " and charged or verified"))
    line("self-check", f"took {time.perf_counter() - begin:.1f} s: {'FAILED' if faults else 'all ok'}")
    return faults


def judge(what: str, seen: int, oracle: Oracle, result: AttackResult, expected: float) -> list[str]:
    """Compare the target's own count, the oracle's, the samples' charges, the budget and the known success rate."""
    spent, looked, budget = int(result.queries.sum()), oracle.counts["verify"], result.config["budget"]
    wrong = []
    if seen != oracle.rows + looked:
        wrong.append(f"the target saw {seen} rows, the oracle counted {oracle.rows} + {looked} verification queries")
    if oracle.rows != spent:
        wrong.append(f"the oracle counted {oracle.rows} rows, the samples were charged {spent}")
    if (most := int(result.queries.max())) > budget:
        wrong.append(f"a sample was charged {most} of a budget of {budget}")
    if result.success_rate.value != expected:
        wrong.append(f"success was {result.success_rate}, expected {100 * expected:.0f} %")
    return [f"{what}: {text}." for text in wrong]

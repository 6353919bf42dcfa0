"""Faults planted in the source: each must make a test of `make test` fail.

A copy of the packages and tests is made once; a fault replaces one piece of text in it, and the tests that should notice are
run in a process of their own. The text has to occur once, so a fault whose code has changed asks to be planted anew.
`tests/contract/test_planted_faults.py` plants faults of other toolkits in attacks, estimators and parts of the engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands import ROOT

ENGINE = "tests/contract/test_engine.py"


class Fault(NamedTuple):
    """What is wrong, where, the right and the wrong text, and the tests that notice."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str


FAULTS = [
    Fault(
        "one probe more than the budget", "blackbox/engine/accounts.py",
        "live, self.left(cohort.samples))", "live, self.left(cohort.samples) + 1)",
        f"{ENGINE}::TestManyProbesAStep::test_never_past_the_budget_and_double_entry",
    ),
    Fault(
        "one candidate more than the budget", "blackbox/engine/accounts.py",
        "(self.left(asked) <= 0).nonzero()", "(self.left(asked) < 0).nonzero()",
        f"{ENGINE}::TestOnePointAStep::test_never_past_the_budget_and_double_entry",
    ),
    Fault(
        "success outside the ball", "blackbox/engine/accounts.py",
        "inside = reach <= self.threat.eps + self.threat.tolerance", "inside = reach <= 2 * self.threat.eps",
        f"{ENGINE}::TestSmallestDistanceByLabels::test_never_below_the_optimum",
    ),
    Fault(
        "the best point is lost when a cohort is made smaller", "blackbox/engine/scheduler.py",
        "cohort.best.index_select(0, index), cohort.samples[live]", "cohort.task.x0.clone(), cohort.samples[live]",
        "tests/unit/engine/test_engine.py::TestSuccess",
    ),
    Fault(
        "examples of finished rows are dropped with them", "blackbox/engine/scheduler.py",
        'go to the ledger."""\n        self.ledger.store(cohort)\n', 'go to the ledger."""\n',
        f"{ENGINE}::TestOnePointAStep::test_same_in_any_company {ENGINE}::TestOnePointAStep::test_honest_inside_the_box",
    ),
    Fault(
        "what was answered of an Ask is asked and charged again on resume", "blackbox/engine/resume.py",
        "answered = cohort.replay + ([cohort.plan] if cohort.plan is not None and cohort.plan.done else [])",
        "answered = cohort.replay",
        f"{ENGINE}::TestManyProbesAStep::test_stop_and_resume",
    ),
    Fault(
        "an old answer is charged once more on resume", "blackbox/engine/ledger.py",
        "columns = {\n            f.name: state[f.name].numpy() if f.name in state else getattr(new, f.name)",
        "state['spent'] += 1\n        columns = {\n            f.name: state[f.name].numpy() if f.name in state else getattr(new, f.name)",
        f"{ENGINE}::TestOnePointAStep::test_stop_and_resume",
    ),
    Fault(
        "draws by the place in the cohort", "blackbox/engine/scheduler.py",
        "Stream(spec.seed, given.ids[samples], device", "Stream(spec.seed, np.arange(len(samples), dtype=np.uint64), device",
        f"{ENGINE}::TestOnePointAStep::test_same_in_any_company",
    ),
    Fault(
        "judged by another row's goal", "blackbox/engine/evaluator.py",
        "self.spec.judge(reply, who)", "self.spec.judge(reply, np.arange(len(who)))",
        f"{ENGINE}::TestOnePointAStep::test_same_in_any_company",
    ),
    Fault(
        "a prior is aimed at another image's goal", "blackbox/engine/scheduler.py",
        "self.spec.aimed.of(first)", "self.spec.aimed.of(0)",
        "tests/contract/test_prior_goals.py::test_a_net_with_another_embedding_makes_references_of_its_own",
    ),
    Fault(
        "a minority confirms", "blackbox/engine/confirmation.py",
        "self.majority, self.spec = spec.votes // 2 + 1,", "self.majority, self.spec = spec.votes // 2,",
        "tests/unit/engine/test_confirmation.py",
    ),
    Fault(
        "verification is charged", "blackbox/oracle/oracle.py",
        "self.counts.items() if purpose not in UNCHARGED)", "self.counts.items())",
        f"{ENGINE}::TestPartsAndAPrior::test_never_past_the_budget_and_double_entry",
    ),
    Fault(
        "what the journal answers is charged", "blackbox/oracle/oracle.py",
        "paid = m if journal is None else journal.asked\n            try:", "paid = m\n            try:",
        "tests/unit/oracle/test_journal.py::test_a_finished_run_is_read_back_for_nothing",
    ),
    Fault(
        "a rate is of all samples, not of those it is about", "blackbox/statistics/rates.py",
        "return cls(int((hit & keep & told).sum()), int((keep & told).sum()), ", "return cls(int((hit & keep & told).sum()), len(hit), ",
        "tests/unit/statistics/test_statistics.py tests/unit/transfer/test_transfer.py",
    ),
    Fault(
        "success at a budget leaves out its last query", "blackbox/statistics/outcomes.py",
        "(first > 0) & (first <= horizon)", "(first > 0) & (first < horizon)",
        "tests/unit/statistics/test_statistics.py",
    ),
    Fault(
        "what gave up early is cheaper than what tried", "blackbox/statistics/outcomes.py",
        'failed = np.where(cut_short(result), array(result.queries), int(result.config["budget"]))',
        "failed = array(result.queries)",
        "tests/unit/statistics/test_statistics.py",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their tests, to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("blackbox", "surrogates", "tests", "experiments"):
        heavy = ["results"] if name == "experiments" else []
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "old", "*.json.gz", *heavy))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def outcome(copy: Path, tests: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("PYTEST_ADDOPTS", None)
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests.split()]
    return subprocess.run(words, cwd=copy, env=env, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Fault, copy: Path) -> None:
    path = copy / fault.file
    sound = path.read_text(encoding="utf-8")
    assert sound.count(fault.right) == 1, f"{fault.file} has changed: plant the fault {fault.name!r} anew"
    path.write_text(sound.replace(fault.right, fault.wrong), encoding="utf-8")
    try:
        out = outcome(copy, fault.tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    assert out.returncode == 1, f"{fault.name}: nobody noticed\n{out.stdout[-3000:]}{out.stderr[-1000:]}"


def test_without_a_fault_these_tests_pass(copy: Path) -> None:
    out = outcome(copy, " ".join(dict.fromkeys(" ".join(fault.tests for fault in FAULTS).split())))
    assert out.returncode == 0, out.stdout[-3000:]

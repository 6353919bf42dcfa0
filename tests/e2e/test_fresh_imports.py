"""What importing the package loads, and what it does not: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import ROOT


def loaded(code: str, *modules: str) -> list[str]:
    """Which of ``modules`` a new process has loaded after ``code``."""
    code = f"import sys; {code}; print(*[m for m in {modules!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return out.stdout.split()


def test_importing_the_package_imports_no_torch() -> None:
    assert not loaded("import blackbox, surrogates, blackbox.testing", "torch", "pytest", "hypothesis")


@pytest.mark.parametrize(("name", "absent"), [("Affine", ("pytest", "hypothesis")), ("AttackContract", ("hypothesis",))])
def test_importing_testing_is_cheap(name: str, absent: tuple[str, ...]) -> None:
    assert not loaded(f"from blackbox.testing import {name}", *absent)


def test_what_waits_until_it_is_needed() -> None:
    assert not loaded("import blackbox.statistics", "scipy", "torch")
    code = "import surrogates.crafting.craft; from surrogates.training.train import report"
    assert not loaded(code, "torchvision", "matplotlib", "sklearn")

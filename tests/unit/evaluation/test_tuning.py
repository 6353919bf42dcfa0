"""Tuning on models of one's own: the known cheapest settings win, nothing else is asked, and what is kept is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.protocol import Access, Ask


class Border(torch.nn.Module):
    """Class 1 where the mean of the image is above 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(8.0))
        self.rows = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows += len(x)
        v = self.weight * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-v, v], 1)


@dataclass(frozen=True)
class Climb:
    """Everything up by ``step`` a query: an image at 0.5 - m needs the smallest whole number of steps above m."""

    access: ClassVar[Access] = Access.SCORES
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    step_size: float = 0.01

    def init(self, t: Any) -> Any:
        a = yield Ask(t.x0 + self.step_size)
        return a.x

    def step(self, t: Any, s: Any, k: int) -> Any:
        a = yield Ask(s + self.step_size)
        return a.x


X = torch.full((4, 1, 4, 4), 0.5) - torch.tensor([0.015, 0.025, 0.035, 0.2]).view(4, 1, 1, 1)
Y = torch.zeros(4, dtype=torch.int64)
GRID = {f"step {s}": Climb(s) for s in (0.01, 0.02, 0.03)}


def test_the_cheapest_is_chosen_and_each_cost_is_known() -> None:
    found = bb.tune(GRID, {"border": Border()}, X, Y, bb.Linf(0.1), 20, classes=2)
    # the clean check and so many steps; the last image cannot be reached within 0.1 and costs the budget
    assert found.cost["step 0.01"]["border"].tolist() == [3, 4, 5, 20]
    assert found.cost["step 0.02"]["border"].tolist() == [2, 3, 3, 20]
    assert found.cost["step 0.03"]["border"].tolist() == [2, 2, 3, 20]
    assert found.chosen == "step 0.03" and found.best == Climb(0.03) and found.score("step 0.02") == 7.0
    assert [r["failed"] for r in found.records()] == [1, 1, 1]
    assert "step 0.03 *" in found.table() and "8.0" in found.table()


def test_models_count_alike_and_wrong_images_do_not() -> None:
    upside = Border()
    with torch.no_grad():
        upside.weight.fill_(-8.0)  # names class 1 below the border: it has none right
    with pytest.raises(ValueError, match="Expected upside to have some of the 4 images right"):
        bb.tune(GRID, {"border": Border(), "upside": upside}, X, Y, bb.Linf(0.1), 20, classes=2)
    half = X.clone()
    half[0] = 0.9
    found = bb.tune(GRID, {"border": Border()}, half, Y, bb.Linf(0.1), 20, classes=2)
    assert found.cost["step 0.01"]["border"].tolist() == [4, 5, 20]


def test_what_is_kept_is_not_run_again(tmp_path: Path) -> None:
    net = Border()
    first = bb.tune(GRID, {"border": net}, X, Y, bb.Linf(0.1), 20, classes=2, cache=tmp_path)
    spent = net.rows
    again = bb.tune(GRID, {"border": net}, X, Y, bb.Linf(0.1), 20, classes=2, cache=tmp_path)
    assert net.rows == spent and all(np.array_equal(first.cost[n]["border"], again.cost[n]["border"]) for n in GRID)
    bb.tune(GRID | {"step 0.05": Climb(0.05)}, {"border": net}, X, Y, bb.Linf(0.1), 20, classes=2, cache=tmp_path)
    more = net.rows - spent
    assert 0 < more < spent
    with torch.no_grad():
        net.weight.mul_(2)  # another net: nothing of it is kept
    bb.tune(GRID, {"border": net}, X, Y, bb.Linf(0.1), 20, classes=2, cache=tmp_path)
    assert net.rows == 2 * spent + more


def test_variants_are_a_grid() -> None:
    grid = bb.variants("nes", samples=[10, 20], sigma=[0.01, 0.1, 1.0])
    assert len(grid) == 6 and grid["samples=20, sigma=0.1"] == bb.attacks.NES(samples=20, sigma=0.1)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="but nothing was given"):
        bb.variants("square")
    with pytest.raises(ValueError, match="but p_init had none"):
        bb.variants("square", p_init=[])
    with pytest.raises(ValueError, match="there were 0 attacks and 1 models"):
        bb.tune({}, {"border": Border()}, X, Y, bb.Linf(0.1), classes=2)
    with pytest.raises(ValueError, match="Expected torch modules where runs are cached, but f is none"):
        bb.tune(GRID, {"f": lambda x: x}, X, Y, bb.Linf(0.1), classes=2, cache="anywhere")

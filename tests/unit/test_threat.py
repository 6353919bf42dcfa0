"""Threats: projections, distances, steepest steps, and what a radius may be."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

import blackbox as bb
from blackbox.threat import L1, L2, Linf, Threat

KINDS = [Linf, L2, L1]
D = 7


def vectors(low: float, high: float, n: int = 3) -> st.SearchStrategy[Tensor]:
    number = st.floats(low, high, width=32, allow_subnormal=False)
    return st.lists(number, min_size=n * D, max_size=n * D).map(lambda v: torch.tensor(v, dtype=torch.float32).view(n, D))


def check_projection(threat: Threat, x: Tensor, x0: Tensor) -> Tensor:
    """In the ball, in the box, idempotent, and the identity where nothing is to be done."""
    p = threat.project(x, x0)
    far = threat.distance(p.double(), x0.double())
    assert bool((far <= threat.eps + threat.tolerance).all()), far
    assert bool(((p >= threat.lower) & (p <= threat.upper)).all())
    assert torch.allclose(threat.project(p, x0), p, atol=2e-6, rtol=0)
    fine = (threat.distance(x, x0) <= threat.eps * (1 - 1e-5)) & ((x >= threat.lower) & (x <= threat.upper)).all(1)
    assert torch.allclose(p[fine], x[fine], atol=1e-7, rtol=0)
    return p


@pytest.mark.parametrize("kind", KINDS)
@given(x=vectors(-3, 4), x0=vectors(0, 1), eps=st.floats(1e-3, 0.99))
@settings(max_examples=60, deadline=None)
def test_projection(kind: type[Threat], x: Tensor, x0: Tensor, eps: float) -> None:
    check_projection(kind(eps), x, x0)


@given(x=vectors(-3, 4), x0=vectors(0, 1), eps=st.floats(1e-3, 0.99))
@settings(max_examples=60, deadline=None)
def test_linf_projection_is_the_nearest_point(x: Tensor, x0: Tensor, eps: float) -> None:
    low, high = np.maximum(x0.numpy() - np.float32(eps), 0), np.minimum(x0.numpy() + np.float32(eps), 1)
    assert np.allclose(Linf(eps).project(x, x0).numpy(), np.clip(x.numpy(), low, high), atol=1e-7)


@pytest.mark.parametrize("kind", [L2, L1])
@pytest.mark.parametrize("seed", range(8))
def test_projection_is_nearest_where_the_box_is_inactive(kind: type[Threat], seed: int) -> None:
    """Against scipy's constrained minimiser, in a box too wide to matter."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    x0, x = rng.uniform(-1, 1, 4), rng.uniform(-2, 2, 4)
    eps = float(rng.uniform(0.2, 0.9))
    threat = kind(eps, lower=-100.0, upper=100.0)
    got = threat.project(torch.tensor(x, dtype=torch.float32)[None], torch.tensor(x0, dtype=torch.float32)[None])[0].double().numpy()

    if kind is L2:
        best = minimize(
            lambda v: ((v - x) ** 2).sum(), x0, constraints={"type": "ineq", "fun": lambda v: eps**2 - ((v - x0) ** 2).sum()}
        ).x
    else:  # v = x0 + a - b with a, b >= 0 makes the L1 ball a linear constraint
        split = minimize(
            lambda ab: ((x0 + ab[:4] - ab[4:] - x) ** 2).sum(),
            np.zeros(8),
            bounds=[(0, None)] * 8,
            constraints={"type": "ineq", "fun": lambda ab: eps - ab.sum()},
        ).x
        best = x0 + split[:4] - split[4:]
    assert ((got - x) ** 2).sum() <= ((best - x) ** 2).sum() + 1e-5
    assert np.allclose(got, best, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_projects_as_it_does_alone(kind: type[Threat]) -> None:
    x0, x = torch.rand(6, 3, 5, 5), torch.rand(6, 3, 5, 5) * 3 - 1
    threat = kind(0.3)
    together = threat.project(x, x0)
    assert all(torch.equal(together[i : i + 1], threat.project(x[i : i + 1], x0[i : i + 1])) for i in range(6))


@pytest.mark.parametrize("kind", KINDS)
def test_no_limit_leaves_only_the_box(kind: type[Threat]) -> None:
    x = torch.tensor([[-1.0, 0.25, 9.0]])
    assert kind(math.inf).project(x, torch.full((1, 3), 0.5)).tolist() == [[0.0, 0.25, 1.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_distance_by_hand(kind: type[Threat]) -> None:
    x, x0 = torch.tensor([[0.3, 0.5, 0.0]]), torch.tensor([[0.0, 0.1, 0.0]])
    assert float(kind(0.5).distance(x, x0)) == pytest.approx({"Linf": 0.4, "L2": 0.5, "L1": 0.7}[kind.norm])


@pytest.mark.parametrize("kind", KINDS)
def test_steepest_is_of_unit_length_and_beats_random_directions(kind: type[Threat]) -> None:
    g = torch.tensor(np.random.default_rng(0).standard_normal((1, 6)), dtype=torch.float32)
    threat = kind(0.5)
    best = threat.steepest(g)
    assert float(threat.distance(best, torch.zeros_like(best))) == pytest.approx(1.0)
    other = torch.tensor(np.random.default_rng(1).standard_normal((500, 6)), dtype=torch.float32)
    other = other / threat.distance(other, torch.zeros_like(other))[:, None]
    assert float((best * g).sum()) >= float((other * g).sum(1).max())
    assert float(threat.steepest(torch.zeros(1, 6)).abs().sum()) in (0.0,)


@pytest.mark.parametrize("eps", [0, -1, float("nan"), "8/255", None])
def test_a_radius_must_be_positive(eps: object) -> None:
    with pytest.raises(ValueError, match="Expected eps to be a positive number"):
        Linf(eps)  # type: ignore[arg-type]


def test_an_absurd_radius_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 1.*was 8\. Did you mean 8/255\?"):
        Linf(8)
    with pytest.raises(ValueError, match="below 2, the diameter of the box for images with 4 entries"):
        L2(2.5).check_dimension(4)
    with pytest.raises(ValueError, match="diameter"):
        L1(5).check_dimension(4)
    L2(math.inf).check_dimension(4)
    with pytest.raises(ValueError, match="lower < upper"):
        Linf(0.1, lower=1.0, upper=0.0)


def test_another_box() -> None:
    threat = Linf(0.2, lower=0.25, upper=0.75)
    got = threat.project(torch.tensor([[0.0, 0.9, 0.5]]), torch.tensor([[0.3, 0.7, 0.5]]))
    assert torch.allclose(got, torch.tensor([[0.25, 0.75, 0.5]]))


def test_names() -> None:
    assert str(bb.Linf(8 / 255)) == "Linf 8/255"
    assert str(bb.L2(0.5)) == "L2 0.5"
    assert str(bb.L2(math.inf)) == "L2 unlimited"

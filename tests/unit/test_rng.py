"""Stream: draws are functions of (seed, id, step, tag), and look like what they are said to be."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import stats

from blackbox.rng import Stream

KINDS = {
    "uniform": lambda s, k, tag: s.uniform(k, tag, (2, 3)),
    "normal": lambda s, k, tag: s.normal(k, tag, (2, 3)),
    "signs": lambda s, k, tag: s.signs(k, tag, 60),
    "permutation": lambda s, k, tag: s.permutation(k, tag, 30),
    "uniform_array": lambda s, k, tag: torch.from_numpy(s.uniform_array(k, tag, 5).copy()),
}


def stream(seed: int = 0, *ids: int) -> Stream:
    return Stream(seed, np.array(ids, dtype=np.uint64))


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(-(2**70), 2**70),
    ids=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5, unique=True),
    step=st.integers(0, 10**6),
)
@settings(max_examples=25, deadline=None)
def test_a_draw_depends_on_its_address_alone(kind: str, seed: int, ids: list[int], step: int) -> None:
    draw = KINDS[kind]
    together = draw(stream(seed, *ids), step, "a")
    for i, one in enumerate(ids):
        assert torch.equal(draw(stream(seed, one), step, "a")[0], together[i])
    kept = stream(seed, *ids).take(np.array([i % 2 == 0 for i in range(len(ids))]))
    assert torch.equal(draw(kept, step, "a"), together[::2])


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_the_address_matters(kind: str) -> None:
    draw = KINDS[kind]
    base = draw(stream(0, 5), 3, "a")
    for other in (draw(stream(1, 5), 3, "a"), draw(stream(0, 6), 3, "a"), draw(stream(0, 5), 4, "a"), draw(stream(0, 5), 3, "b")):
        assert not torch.equal(base, other)


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = stream(0, 1).normal(0, "a", 4)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    torch.manual_seed(2)
    assert torch.equal(first, stream(0, 1).normal(0, "a", 4))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]


@pytest.mark.parametrize("name", ["uniform", "normal", "signs", "shared_normal", "shared_signs"])
def test_dtype_and_shape(name: str) -> None:
    out = getattr(stream(0, 1, 2), name)(0, "a", (3, 4))
    assert out.dtype == torch.float32
    assert out.shape == ((3, 4) if name.startswith("shared") else (2, 3, 4))
    assert stream(0, 1).uniform_array(0, "a", 3).dtype == np.float32


ROWS = stream(0, *range(400))


@pytest.mark.parametrize("step", [0, 1, 977])
def test_uniform_is_uniform(step: int) -> None:
    u = ROWS.uniform(step, "u", 500).numpy()
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3  # over samples, at one place
    assert stats.kstest(u[0], "uniform").pvalue > 1e-3  # over places, in one sample


@pytest.mark.parametrize("draw", [lambda: ROWS.normal(3, "n", 500), lambda: ROWS.shared_normal(3, "n", (400, 500))])
def test_normal_is_normal(draw: object) -> None:
    z = draw().double().numpy()  # type: ignore[operator]
    assert np.isfinite(z).all()
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(z.ravel())) < 0.05


def test_the_two_halves_of_a_normal_draw_are_independent() -> None:
    """Box and Muller make cosines and sines of the same angles."""
    z = ROWS.normal(0, "n", 500).double().numpy()
    first, second = z[:, :250].ravel(), z[:, 250:].ravel()
    assert stats.pearsonr(first, second).pvalue > 1e-3
    assert stats.pearsonr(first**2, second**2).pvalue > 1e-3


@pytest.mark.parametrize("other", ["id", "seed", "step", "tag", "place"])
def test_neighbouring_addresses_are_independent(other: str) -> None:
    n = np.arange(20_000, dtype=np.uint64)
    base = Stream(0, n).uniform(0, "a", 2).double().numpy()
    beside = {
        "id": lambda: Stream(0, n + np.uint64(1)).uniform(0, "a", 2),
        "seed": lambda: Stream(1, n).uniform(0, "a", 2),
        "step": lambda: Stream(0, n).uniform(1, "a", 2),
        "tag": lambda: Stream(0, n).uniform(0, "b", 2),
        "place": lambda: Stream(0, n).uniform(0, "a", 2).flip(1),
    }[other]()
    pair = (base[:, 0], beside[:, 0].double().numpy())
    if other == "id":  # a shift by one id must be the very same numbers, one row on
        assert np.array_equal(pair[0][1:], pair[1][:-1])
        pair = (base[:-1, 0], base[1:, 0])
    assert stats.pearsonr(*pair).pvalue > 1e-3
    table = np.histogram2d(*pair, bins=8, range=[[0, 1], [0, 1]])[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_signs_are_fair() -> None:
    s = ROWS.signs(2, "s", 500)
    assert set(s.unique().tolist()) == {-1.0, 1.0}
    assert stats.binomtest(int((s > 0).sum()), s.numel()).pvalue > 1e-3
    shared = ROWS.shared_signs(2, "s", (400, 500))
    assert stats.binomtest(int((shared > 0).sum()), shared.numel()).pvalue > 1e-3


def test_permutations_are_permutations_and_uniform() -> None:
    p = stream(0, *range(6000)).permutation(1, "p", 4)
    assert p.dtype == torch.int64 and bool((p.sort(1).values == torch.arange(4)).all())
    seen = np.unique(p.numpy(), axis=0, return_counts=True)[1]
    assert len(seen) == 24 and stats.chisquare(seen).pvalue > 1e-3
    assert sorted(stream(0, 1).shared_permutation(0, "p", 50).tolist()) == list(range(50))


def test_draws_made_ahead_are_those_of_each_step_alone() -> None:
    walking = stream(3, 5, 9, 11)
    for step in [*range(40), 38, 7, 90, 91, 92]:
        if step == 20:  # in the midst of a block, rows retire
            walking = walking.take(np.array([True, False, True]))
        alone = Stream(3, walking.ids).uniform_array(step, "a", 5)
        assert np.array_equal(walking.uniform_array(step, "a", 5), alone), step
    with pytest.raises(ValueError, match="read-only"):
        walking.uniform_array(92, "a", 5)[0] = 0

"""One change for a set of images by queries: exact counts, nothing outside the threat, a known optimum, and the accounts of a failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.testing import Recording

SHAPE = (1, 4, 3)
DRAWS = np.random.default_rng(5)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (6, *SHAPE)), dtype=torch.float32)
W = torch.tensor(DRAWS.normal(size=12), dtype=torch.float32)
EPS = 0.1


def hidden(share: float, images: Tensor = X) -> torch.nn.Module:
    """Two classes, w x + b: a change fools all ``images`` of class 0 where it is worth at least this share of eps sign(w)."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([0 * W, W]))
        net[1].bias.copy_(torch.stack([torch.zeros(()), -(images.flatten(1) @ W).min() - share * EPS * W.abs().sum()]))
    return net


ALIKE = X[:1] + 0 * X  # six times the same image
ZEROS = [0] * 6


def test_the_best_change_of_a_linear_target_is_eps_times_the_sign_of_its_weights() -> None:
    oracle = bb.Oracle(hidden(0.999, ALIKE), "scores", 2)
    found = bb.universal(oracle, ALIKE, ZEROS, "signhunter", bb.Linf(EPS), 100)
    assert found.rate.k == 6 and torch.allclose(found.universal.change.flatten(), EPS * W.sign(), atol=1e-6)
    assert oracle.rows == found.queries == 6 * (found.tried + 1) < 600


@pytest.mark.parametrize("name", ["square", "simba", "nes", "patch-rs", "hop-skip-jump"])
@pytest.mark.parametrize("access", ["labels", "scores"])
def test_every_change_is_charged_as_many_queries_as_images_count(name: str, access: str) -> None:
    wrong = torch.cat([X, X[:1] + 0.3 * W.sign().view(SHAPE)]).clamp(0, 1)  # the last one is of the other class without a change
    oracle = bb.Oracle(seen := Recording(hidden(1.2)), access, 2)
    threat = bb.Patch(2) if name == "patch-rs" else bb.L2(0.2) if name == "hop-skip-jump" else bb.Linf(EPS)
    found = bb.universal(oracle, wrong, [0] * 7, name, threat, 15)
    assert found.right.tolist() == [True] * 6 + [False]
    assert 0 < found.tried < 15 and int(found.search.queries) == found.tried + 1
    assert found.queries == oracle.rows == len(seen.shown) - oracle.counts["verify"] == 7 + 6 * found.tried


THREATS = [
    bb.Linf(EPS), bb.L2(0.2), bb.L1(1), bb.Patch(2), bb.Patch((2, 1), location=(2, 1)), bb.Patch(2, location="random"), bb.Frame(1),
]  # fmt: skip


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_all_images_get_the_one_change_and_nothing_else(threat: bb.Threat, tmp_path: Path) -> None:
    oracle = bb.Oracle(seen := Recording(hidden(9.0)), "scores", 2)  # is never fooled
    found = bb.universal(oracle, X, ZEROS, "patch-rs" if threat.norm == "L0" else "square", threat, 12)
    assert found.tried == 11 and not found.fooled.any() and found.universal.threat == threat
    ids, radius = np.arange(6, dtype=np.uint64), 4 if isinstance(threat, bb.Patch) else 10 if threat.norm == "L0" else threat.eps + 1e-6
    for x in seen.shown.view(-1, *X.shape)[1:]:
        assert bool((threat.distance(x, X) <= radius).all())
        moved = (x != X).any(1)
        if isinstance(threat, bb.Patch) and not threat.free:
            (h, w), places = threat.size, threat.places(SHAPE, ids, 0).tolist()
            cut = torch.stack([image[:, a : a + h, b : b + w] for image, (a, b) in zip(x, places, strict=True)])
            assert torch.equal(cut, cut[:1].expand_as(cut))
        elif isinstance(threat, bb.Patch):
            assert torch.equal(moved, moved[:1].expand_as(moved)) and int(moved[0].sum()) == 4
        elif threat.norm != "L0":
            assert torch.allclose(x - X, (x - X)[:1].expand_as(X), atol=1e-6)  # far from the ends of the box
        else:
            assert not bool(moved[:, 1:-1, 1:-1].any())
    again = bb.Universal.load(found.universal.save(tmp_path / "one.safetensors"))
    assert again.threat == threat and again.config == found.universal.config and str(again) == str(found.universal)
    assert torch.equal(again.apply(X), found.universal.apply(X))


@pytest.mark.parametrize("threat", [bb.Linf(EPS), bb.L2(0.2), bb.Patch((3, 2), location=(0, 1)), bb.Frame(1)], ids=str)
def test_a_mask_is_kept_to_the_bit(threat: bb.Threat) -> None:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[0, :2, 1] = True
    oracle = bb.Oracle(seen := Recording(hidden(9.0)), "scores", 2)
    found = bb.universal(oracle, X, ZEROS, "simba", threat, 12, mask=mask)
    shown = seen.shown.view(-1, *X.shape)
    assert bool((shown != X)[:, :, mask].any()) and not bool((shown != X)[:, :, ~mask].any())
    assert not bool((found.universal.apply(X) != X)[:, ~mask].any())


def test_a_subset_searches_and_the_rest_is_held_out_beside_noise_of_the_same_size() -> None:
    oracle = bb.Oracle(hidden(0.8), "labels", 2)
    found = bb.universal(oracle, X, ZEROS, "square", bb.Linf(EPS), 60, subset=4, share=0.5)
    assert len(found.used) == 4 and found.held_out is not None and len(found.held_out.right) == 2
    assert found.held_out.queries == 6 and oracle.rows == found.queries + 6
    assert oracle.counts["transfer"] == oracle.counts["noise"] == 2 and "held-out" in found.summary()
    change, noise = found.universal, found.universal.noise(3)
    assert torch.equal(noise.change.abs(), change.change.abs()) and not torch.equal(noise.change, change.change)


def test_a_goal_of_ones_own_and_a_target_class_are_served() -> None:
    goal = bb.goals.AnyOf([1])
    one = bb.universal(bb.Oracle(hidden(0.6), "scores", 2), X, None, "square", bb.Linf(EPS), 40, goal=goal)
    other = bb.universal(bb.Oracle(hidden(0.6), "scores", 2), X, ZEROS, "square", bb.Linf(EPS), 40, target=1)
    assert one.fooled.any() and torch.equal(one.universal.change, other.universal.change)


def test_a_journal_goes_on_without_a_query(tmp_path: Path) -> None:
    first, again = (bb.Oracle(hidden(9.0), "scores", 2, name="it") for _ in range(2))
    runs = [
        bb.universal(oracle, X, ZEROS, "square", bb.Linf(EPS), 10, held_out=(X, ZEROS), journal=tmp_path / "run.journal")
        for oracle in (first, again)
    ]
    assert first.rows == 78 and again.rows == 0 and torch.equal(runs[0].universal.change, runs[1].universal.change)
    assert runs[0].queries == runs[1].queries == 60


@pytest.mark.parametrize(("rows", "tried"), [(24, 3), (60, 9)])
def test_what_was_paid_for_is_kept_when_the_target_fails(rows: int, tried: int) -> None:
    """In the search, and at the look at images that were held out."""
    net = hidden(9.0)

    def tired(x: Tensor) -> Tensor:
        if oracle.rows >= rows:
            raise RuntimeError("tired")
        return net(x)

    oracle = bb.Oracle(tired, "scores", 2)
    with pytest.raises(bb.TargetError, match=f"after {rows} answered queries: tired|raised RuntimeError.*after {rows} answered") as error:
        bb.universal(oracle, X, ZEROS, "square", bb.Linf(EPS), 10, held_out=(X, ZEROS))
    left = error.value.result
    assert oracle.rows == rows == left.queries and left.tried == tried and int(left.search.queries) == tried + 1
    assert str(error.value).count("answered queries") == 1
    assert float(left.universal.change.abs().max()) == pytest.approx(EPS) and left.held_out is None


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("Linf, L2 or L1", {"threat": bb.L0(3)}),
        ("at most 0.5", {"threat": bb.Linf(0.7)}),
        ("finite", {"threat": bb.L2(np.inf)}),
        ("share", {"share": 0}),
        ("subset", {"subset": 6}),
        ("bools", {"mask": torch.full(SHAPE, 0.5)}),
        ("no one place|not the same", {"threat": bb.Patch(2), "mask": torch.ones(SHAPE, dtype=torch.bool), "attack": "patch-rs"}),
        ("an attack that searches the place", {"threat": bb.Patch(2)}),
    ],
)
def test_what_does_not_fit_is_refused_before_a_query(said: str, settings: dict[str, object]) -> None:
    oracle = bb.Oracle(hidden(1.0), "scores", 2)
    with pytest.raises(ValueError, match=said):
        bb.universal(oracle, X, ZEROS, **{"threat": bb.Linf(EPS), "budget": 5, **settings})  # type: ignore[arg-type]
    assert oracle.rows == 0


def test_a_patch_that_is_said_to_be_universal_points_to_what_makes_one() -> None:
    with pytest.raises(ValueError, match=r"blackbox\.universal.*surrogates\.universal"):
        bb.Patch(2, universal=True)
    with pytest.raises(FileNotFoundError, match="Universal.save"):
        bb.Universal.load("nowhere.safetensors")
    with pytest.raises(ValueError, match="images of the shape"):
        bb.Universal(torch.zeros(SHAPE), bb.Linf(EPS)).apply(torch.zeros(1, 1, 5, 5))

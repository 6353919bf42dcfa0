"""Patches and frames: nothing outside, for the attack that searches the place and for those that know no areas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import attacks
from blackbox.testing import Recording

SHAPE = (3, 8, 8)
DRAWS = np.random.default_rng(11)
X = torch.tensor(DRAWS.uniform(0.2, 0.8, (3, *SHAPE)), dtype=torch.float32)
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
with torch.no_grad():
    NET[1].weight.copy_(torch.tensor(DRAWS.normal(size=(4, 192)), dtype=torch.float32))
    Y = NET(X).argmax(1)


def changes(seen: Recording) -> Tensor:
    """[m, height, width]: the pixels that differ from the nearest clean image, of all images asked about."""
    images = seen.shown
    each = torch.stack([(images != x).any(1) for x in X])
    nearest = each.flatten(2).sum(2).argmin(0)
    return each[nearest, torch.arange(len(images))]


@pytest.mark.parametrize("name", ["patch-rs", "auto", attacks.build("auto")])
@pytest.mark.parametrize("size", [3, (2, 4)])
def test_a_free_patch_moves_and_is_all_that_changes(name: Any, size: object) -> None:
    threat = bb.Patch(size)
    seen = Recording(lambda x: NET(x) + torch.tensor([1000.0, 0, 0, 0]))  # is never fooled, so that the search goes on
    result = bb.attack(bb.Oracle(seen, "logits", 4), X, [0, 0, 0], name, threat, 60)
    assert not bool(result.success.any()) and result.config["attack"] == "patch-rs"
    assert result.config["area"] == f"patch {threat.size[0]}x{threat.size[1]} free"
    corners = set()
    for pixels in changes(seen):
        if pixels.any():
            down, across = pixels.nonzero().T
            assert int(down.max() - down.min()) < threat.size[0] and int(across.max() - across.min()) < threat.size[1]
            corners.add((int(down.min()), int(across.min())))
    assert len(corners) > 10
    result = bb.attack(bb.Oracle(NET, "logits", 4), X, Y, name, threat, 60)
    assert bool(result.success.all()) and torch.equal(result.distance, threat.distance(result.x_adv, X))
    assert result.threat.eps == threat.size[0] * threat.size[1] and "of the pixels" in result.summary()


@pytest.mark.parametrize("name", ["patch-rs", "square", "simba", "sparse", "signhunter", "rays"])
@pytest.mark.parametrize(
    "threat", [bb.Patch((3, 2), location=(4, 5)), bb.Patch(4, location="random"), bb.Frame(1)], ids=str
)
def test_a_place_that_is_given_serves_every_attack(name: str, threat: bb.Threat) -> None:
    seen = Recording(NET)
    oracle = bb.Oracle(seen, "logits", 4)
    result = bb.attack(oracle, X, Y, name, threat, 40)
    mask = threat.mask(SHAPE, np.arange(3, dtype=np.uint64), 0)[:, 0]
    where = torch.stack([~(pixels & ~m).any() for pixels in changes(seen) for m in mask]).view(-1, 3)
    assert bool(where.any(1).all()) and oracle.rows == int(result.queries.sum())
    assert not bool(((result.x_adv != X) & ~mask[:, None]).any())
    assert bool((result.distance[result.success] <= mask[0].sum()).all()) and str(result.threat) == str(threat)


def test_a_random_place_is_a_function_of_seed_and_id() -> None:
    patch = bb.Patch(3, location="random")
    ids = np.arange(40, dtype=np.uint64)
    places = patch.places(SHAPE, ids, 0)
    assert torch.equal(patch.places(SHAPE, ids[5:7], 0), places[5:7]) and not torch.equal(
        patch.places(SHAPE, ids, 1), places
    )
    assert places.min() == 0 and places.max() == 5 and len({tuple(p) for p in places.tolist()}) > 20


def test_projection_keeps_the_window_that_changes_most() -> None:
    patch, x = bb.Patch(2), X.clone()
    x[0, :, 1:3, 1:3] += 0.1
    x[0, :, 6, 6] += 0.15
    x[1, :, 4:6, 7] -= 0.1
    made = patch.project(x, X)
    assert torch.equal(made[0, :, 1:3, 1:3], x[0, :, 1:3, 1:3]) and torch.equal(made[0, :, 6, 6], X[0, :, 6, 6])
    assert torch.equal(made[1:], x[1:]) and patch.distance(made, X).tolist() == [4, 2, 0]
    assert torch.isinf(patch.distance(x, X)[0]) and torch.equal(patch.project(made, X), made)


def test_a_saved_result_keeps_its_area(tmp_path: object) -> None:
    result = bb.attack(bb.Oracle(NET, "logits", 4), X, Y, "square", bb.Patch(3, location=(1, 2)), 20)
    again = bb.AttackResult.load(result.save(str(tmp_path)))
    assert again.threat == result.threat and again.threat.eps == 9 and again.summary() == result.summary()


@pytest.mark.parametrize(
    ("threat", "attack", "said"),
    [
        (bb.Patch(3), "square", 'searches the place of a patch, "patch-rs", but it was square'),
        (bb.Patch(9), "auto", "fits into images of 8 x 8 pixels, but it was patch 9x9"),
        (bb.Patch(3, location=(6, 0)), "square", "fits into images of 8 x 8"),
        (bb.Frame(4), "square", "a frame with something inside"),
    ],
)
def test_what_cannot_be_is_refused_before_any_query(threat: bb.Threat, attack: str, said: str) -> None:
    oracle = bb.Oracle(NET, "logits", 4)
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, X, Y, attack, threat, 40)
    assert oracle.rows == 0


@pytest.mark.parametrize("size", [0, (1, 2, 3), 2.5])
def test_no_size(size: object) -> None:
    with pytest.raises(ValueError, match="Expected size"):
        bb.Patch(size)
    with pytest.raises(ValueError, match="Expected width"):
        bb.Frame(size)  # type: ignore[arg-type]


def test_no_location() -> None:
    with pytest.raises(ValueError, match='"free", "random" or'):
        bb.Patch(3, location="left")

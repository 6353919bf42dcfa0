"""Crafting keeps to masks, shares of eps, ranges and patches, and reaches what can be reached inside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox.testing import Recording

SHAPE = (3, 6, 6)
DRAWS = np.random.default_rng(3)
X = torch.tensor(DRAWS.uniform(0.35, 0.65, (4, *SHAPE)), dtype=torch.float32)
WEIGHTS = torch.tensor(DRAWS.uniform(0.2, 1, (4, *SHAPE)) * (DRAWS.uniform(size=(4, *SHAPE)) < 0.7), dtype=torch.float32)
LOWER, UPPER = X - 0.2 * WEIGHTS.flip(0), X + 0.2 * WEIGHTS.flip(1)
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 2))
with torch.no_grad():
    NET[1].weight.copy_(torch.tensor(DRAWS.normal(size=(2, 108)), dtype=torch.float32))
    Y = NET(X).argmax(1)
    SLOPE = (NET[1].weight[1 - Y] - NET[1].weight[Y]).view_as(X)  # of the margin, the same everywhere


def gained(made: torch.Tensor) -> torch.Tensor:
    return ((made - X) * SLOPE).flatten(1).sum(1)


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.3), bb.L1(0.3)], ids=str)
@pytest.mark.parametrize("attack", ["i-fgsm", "pgd", "mi-fgsm"])
def test_shares_are_kept_and_used_up(threat: bb.Threat, attack: str) -> None:
    made = sg.craft(NET, X, Y, attack, threat=threat, steps=20, mask=WEIGHTS, loss="margin")
    far = (made - X).abs() / torch.where(WEIGHTS > 0, WEIGHTS, 1.0)
    assert torch.equal(made[WEIGHTS == 0], X[WEIGHTS == 0])
    assert bool((threat.distance(far, torch.zeros_like(far)) <= threat.eps + threat.tolerance).all())
    dual = {"Linf": 1, "L2": 2, "L1": torch.inf}[threat.norm]
    most = threat.eps * torch.linalg.vector_norm((WEIGHTS * SLOPE).flatten(1), dual, dim=1)
    assert bool((gained(made) >= 0.97 * most).all())


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.5), bb.L1(2.0)], ids=str)
def test_ranges_and_a_mask_are_kept(threat: bb.Threat) -> None:
    mask = WEIGHTS > 0.5
    made = sg.craft(NET, X, Y, "pgd", threat=threat, steps=5, mask=mask, ranges=(LOWER, UPPER), eight_bit=False)
    assert bool(((made >= LOWER) & (made <= UPPER)).all()) and torch.equal(made[~mask], X[~mask]) and bool((gained(made) > 0).all())
    if threat.norm == "Linf":
        best = torch.where(SLOPE > 0, torch.minimum(UPPER, X + 0.1), torch.maximum(LOWER, X - 0.1))
        assert bool((gained(made) >= 0.99 * gained(torch.where(mask, best, X))).all())
    assert torch.equal(made[2:], sg.craft(NET, X[2:], Y[2:], "pgd", threat=threat, steps=5, ids=[2, 3], mask=mask[2:],
                                          ranges=(LOWER[2:], UPPER[2:])))  # fmt: skip


@pytest.mark.parametrize("threat", [bb.Patch(2, location=(1, 3)), bb.Patch(3, location="random"), bb.Frame(1)], ids=str)
def test_a_patch_is_filled_and_nothing_else(threat: bb.Threat) -> None:
    made = sg.craft(NET, X, Y, "i-fgsm", threat=threat, steps=10)
    mask = threat.mask(SHAPE, np.arange(4, dtype=np.uint64), 0)
    assert torch.equal(made[~mask], X[~mask])
    assert torch.allclose(made[mask], (SLOPE > 0).float()[mask])  # every entry of a linear net's best patch is at an end


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.3), bb.L1(0.3)], ids=str)
def test_the_worst_neighbour_is_looked_for_inside_too(threat: bb.Threat) -> None:
    asked: list[torch.Tensor] = []

    class Seen(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(x.detach().clone())
            return NET(x)

    made = sg.craft(Seen(), X, Y, "rap", threat=threat, steps=4, mask=WEIGHTS, loss="margin")
    seen = torch.stack([x[: len(X)] for x in asked if len(x) >= len(X)])
    assert torch.equal(seen[:, WEIGHTS == 0], X[WEIGHTS == 0].expand(len(seen), -1)) and bool((seen[1:] != X).any())
    assert torch.equal(made[WEIGHTS == 0], X[WEIGHTS == 0]) and bool((gained(made) > 0).all())


def test_what_is_all_changes_nothing() -> None:
    plain = sg.craft(NET, X, Y, "pgd", threat=bb.L2(0.5), steps=4)
    for more in ({"mask": torch.ones(SHAPE)}, {"ranges": (0, 1)}, {"mask": torch.ones(6, 6, dtype=torch.bool)}):
        assert torch.equal(plain, sg.craft(NET, X, Y, "pgd", threat=bb.L2(0.5), steps=4, **more))


def test_what_cannot_be() -> None:
    for more, said in (
        ({"threat": bb.Linf(0.1), "mask": torch.zeros(SHAPE)}, "sample 0 it is all False"),
        ({"threat": bb.Linf(0.1), "ranges": (0.5, 1)}, "of sample 0 entry"),
    ):
        with pytest.raises(ValueError, match=said):
            sg.craft(NET, X, Y, **more)


def test_a_transfer_matrix_and_its_noise_keep_to_them(tmp_path: Path) -> None:
    hidden = Recording(NET)
    patch = bb.Patch(3, location=(2, 2))
    oracle = bb.Oracle(hidden, "labels", 2)
    more = {"mask": WEIGHTS, "ranges": (LOWER, UPPER)}
    made = sg.transfer_matrix({"a": NET}, {"b": oracle}, X, Y, ["i-fgsm"], [bb.Linf(0.1), bb.L2(0.3), patch], **more)
    images = hidden.shown.view(-1, *X.shape)  # clean; crafted, noise of two kinds; crafted, noise; crafted, noise
    assert len(images) == 8 and bool(((images >= LOWER) & (images <= UPPER)).all())
    assert torch.equal(images[:, WEIGHTS == 0], X[WEIGHTS == 0].expand(8, -1))
    outside = ~patch.mask(SHAPE, np.arange(4, dtype=np.uint64), 0)
    assert torch.equal(images[6:, outside], X[outside].expand(2, -1))
    assert bool((images[1:] != X).flatten(2).any(2).all())
    assert bool((made.noise_l2[2, 1] <= 1.001 * made.l2[0, 0, 2]).all())
    assert sg.TransferMatrix.load(made.save(tmp_path)).threats[2] == patch

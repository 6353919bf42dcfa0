"""Images of any shape: a volume is attacked as the image whose channels are its leading axes, a signal as one row of pixels; what
an attack cannot serve is refused before the first query."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

import blackbox as bb
from blackbox import attacks
from blackbox.proposals import bases
from blackbox.testing.priors import LinearPrior
from blackbox.testing.targets import Affine

NORMS = {"Linf": bb.Linf(0.2), "L2": bb.L2(1.5), "L1": bb.L1(4)}


def problem(shape: tuple[int, ...]) -> tuple[Affine, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    target = Affine(torch.randn(4, *shape, generator=rng), torch.zeros(4))
    x = torch.rand(3, *shape, generator=rng)
    return target, x, target(x).argmax(1)


@pytest.mark.parametrize("name", ["auto", "square", "bandits", "parsimonious", "evolution", "zoo", "geoda", "qeba", "surfree"])
@pytest.mark.parametrize(("shape", "image"), [((2, 3, 5, 4), (6, 5, 4)), ((20,), (1, 1, 20)), ((1, 20), (1, 1, 20))])
def test_another_shape_is_the_same_search(name: str, shape: tuple[int, ...], image: tuple[int, ...]) -> None:
    norm = NORMS[attacks.get(name).norms[0]]
    found = []
    for form in (shape, image):
        target, x, y = problem(shape)
        same = Affine(target.weight.view(4, *form), target.bias)
        oracle = bb.Oracle(same, "scores", 4)
        start = (target.weight[(y + 1) % 4] > 0).float().view(3, *form)  # noise is drawn for images otherwise than for others
        found.append(bb.attack(oracle, x.view(3, *form), y, name, norm, 90, start=start))
        assert oracle.rows == int(found[-1].queries.sum())
    assert torch.equal(found[0].x_adv.flatten(1), found[1].x_adv.flatten(1))
    assert torch.equal(found[0].queries, found[1].queries)


@dataclass(frozen=True)
class OfImages(bb.Attack):
    access = bb.Access.SCORES
    norms = ("Linf",)
    needs_images = True

    def init(self, t: bb.Task) -> None:
        raise AssertionError("begun")


class Stranger:
    access, norms, needs_images = bb.Access.SCORES, ("Linf",), True

    def init(self, t: bb.Task) -> None: ...

    def step(self, t: bb.Task, s: None, k: int) -> None: ...


@pytest.mark.parametrize(
    ("attack", "shape", "words"),
    [
        (OfImages(), (4, 5), r"images \[channels, height, width\] for OfImages, but .* \(4, 5\)\. Add the channel axis: x\[:, None\]\. Or"),
        (OfImages(), (2, 3, 4, 5), r"for OfImages, but they have shape \(2, 3, 4, 5\)\. Take an attack that serves any shape"),
        (Stranger(), (20,), "for Stranger, but they have shape"),
        (attacks.build("simba", basis=bases.Fixed(torch.eye(20)[:5])), (4, 5), r"images of shape \(20,\), which the fixed"),
        (attacks.build("hop-skip-jump", noise=bases.Fixed(torch.eye(20)[:5])), (4, 5), r"images of shape \(20,\), which the fixed"),
        (attacks.build("surfree", noise=bases.Fixed(torch.eye(20)[:5])), (4, 5), r"images of shape \(20,\), which the fixed"),
        (attacks.build("fd-fgsm", method="pca", images=torch.rand(9, 20), count=4), (4, 5), r"images of shape \(20,\), which the pca"),
    ],
)
def test_a_shape_that_cannot_be_served_costs_nothing(attack: bb.Attack, shape: tuple[int, ...], words: str) -> None:
    target, x, y = problem(shape)
    oracle = bb.Oracle(target, "scores", 4)
    with pytest.raises(ValueError, match=words):
        bb.attack(oracle, x, y, attack, NORMS[attack.norms[0]], 50)
    assert oracle.rows == 0


@pytest.mark.parametrize("basis", [bases.DCT(), bases.Tiles(2)])
def test_a_basis_of_any_shape_is_orthonormal(basis: bases.Basis) -> None:
    for shape in ((7,), (1, 7), (4, 5), (2, 3, 4, 5)):
        u = bases.tensor(basis, shape)
        assert u.shape[1:] == shape
        assert torch.allclose(u.flatten(1) @ u.flatten(1).T, torch.eye(len(u)), atol=1e-5)


@pytest.mark.parametrize("name", attacks.with_prior())
def test_a_prior_of_any_shape(name: str) -> None:
    for shape in ((12,), (3, 4), (2, 3, 11, 10)):
        target, x, y = problem(shape)
        oracle = bb.Oracle(target, "scores", 4)
        attack = attacks.build(name, prior=LinearPrior.noise(4, 2, shape))
        result = bb.attack(oracle, x, y, attack, NORMS[attack.norms[0]], 12)
        assert oracle.rows == int(result.queries.sum()) and result.x_adv.shape == x.shape

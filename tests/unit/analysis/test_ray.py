"""Rays through nets whose loss, tangent and borders are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from surrogates.analysis.ray import Region, fgsm_direction, regions, walk

RADII = np.linspace(0, 0.3, 31)


class Affine(nn.Module):
    """Two classes: logit_1 - logit_0 = w . x + b."""

    def __init__(self, w: list[float], b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.tensor(w)), b

    def forward(self, x):
        z = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(z), z], 1)


class Steps(nn.Module):
    """One pixel v; the label is the number of ``edges`` below it."""

    def __init__(self, edges: list[float]) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.tensor(edges, dtype=torch.float64))

    def forward(self, x):
        v = x.flatten(1)[:, :1]
        own = (v > self.edges).sum(1)
        return nn.functional.one_hot(own, len(self.edges) + 1).to(x) * 9 + 0 * v


def affine():
    """At x = 0.5 the margin is -0.2; sign(w) . w = 2, so FGSM flips the label at eps = 0.1."""
    net = Affine([1.0, -0.5, 0.5], -0.7)
    return net, torch.full((1, 1, 1, 3), 0.5)


def test_margin_of_an_affine_net_is_its_tangent():
    net, x = affine()
    ray = walk(net, x, torch.tensor([0]), RADII, loss="margin")
    np.testing.assert_allclose(ray.loss[0], -0.2 + 2 * RADII, atol=1e-6)
    np.testing.assert_allclose(ray.tangent[0], -0.2 + 2 * RADII, atol=1e-6)
    assert ray.slope == pytest.approx([2.0], abs=1e-6)
    assert ray.linear_radius() == pytest.approx([0.3])


def test_cross_entropy_lies_above_its_tangent_and_the_radius_of_linearity_is_where_the_formula_says():
    net, x = affine()
    ray = walk(net, x, torch.tensor([0]), RADII)
    true = np.log1p(np.exp(-0.2 + 2 * RADII))
    slope = 2 / (1 + np.exp(0.2))
    np.testing.assert_allclose(ray.loss[0], true, rtol=1e-6)
    np.testing.assert_allclose(ray.tangent[0], true[0] + slope * RADII, rtol=1e-6)
    assert (ray.loss[0, 1:] > ray.tangent[0, 1:]).all()
    off = true - true[0] - slope * RADII > 0.1 * slope * RADII
    assert 0 < off[1:].argmax() < 29
    assert ray.linear_radius(0.1)[0] == pytest.approx(RADII[1:][off[1:].argmax() - 1])
    np.testing.assert_allclose(ray.confidence[0], np.maximum(1 - np.exp(-true), np.exp(-true)), rtol=1e-5)


def test_label_flips_at_the_known_radius_to_within_the_tolerance():
    net, x = affine()
    ray = walk(net, x, torch.tensor([0]), RADII + 0.0)
    for tolerance in (1e-2, 1e-5):
        (found,) = regions(ray, net, tolerance=tolerance)
        assert [r.label for r in found] == [0, 1]
        assert 0.1 - 1e-6 <= found[0].stop <= 0.1 + tolerance + 1e-6
        assert (found[0].start, found[1].stop) == (0.0, pytest.approx(0.3)) and found[0].stop == found[1].start
    assert regions(ray, net, label=ray.label)[0][0].stop == regions(ray, net)[0][0].stop


def test_thin_regions_between_two_radii_are_found_and_a_function_of_labels_will_do():
    net = Steps([0.531, 0.533, 0.58, 0.7])
    x = torch.full((2, 1, 1, 1), 0.5)
    x[1] = 0.51
    up = torch.ones_like(x)
    ray = walk(net, x, torch.tensor([0, 0]), np.linspace(0, 0.25, 6), up)
    asked = []

    def labels(v):
        asked.append(len(v))
        return net(v).argmax(1)

    for model in (net, labels):
        for start, found in zip((0.5, 0.51), regions(ray, model, tolerance=1e-5), strict=True):
            assert [r.label for r in found] == [0, 1, 2, 3, 4]
            np.testing.assert_allclose([r.stop for r in found[:-1]], np.array([0.531, 0.533, 0.58, 0.7]) - start, atol=2e-5)
    assert sum(asked) < 400


def test_pixels_stop_at_the_box_and_the_tangent_takes_the_change_really_made():
    net = Affine([1.0, -0.5, 0.5], -0.7)
    x = torch.tensor([0.95, 0.5, 0.5]).view(1, 1, 1, 3)
    radii = np.array([0.0, 0.05, 0.2])
    kept = walk(net, x, torch.tensor([0]), radii, loss="margin")
    np.testing.assert_allclose(kept.loss[0], 0.25 + np.array([0, 0.1, 0.05 + 0.2]), atol=1e-6)
    np.testing.assert_allclose(kept.tangent, kept.loss, atol=1e-6)


def test_an_image_gets_the_same_ray_alone_and_among_others():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4))
    x, y = torch.rand(5, 3, 2, 2), torch.tensor([0, 1, 2, 3, 0])
    together, alone = walk(net, x, y, RADII), walk(net, x[3:4], y[3:4], RADII)
    for name in ("loss", "tangent", "label", "confidence"):
        np.testing.assert_allclose(getattr(together, name)[3], getattr(alone, name)[0], rtol=1e-12, err_msg=name)
    assert (together.line.direction == fgsm_direction(net, x, y)).all()
    assert together.probabilities.shape == (5, 31, 4)


def test_where_the_label_stays_there_is_one_region():
    net, x = affine()
    ray = walk(net, x, torch.tensor([0]), [0.0, 0.05])
    assert regions(ray, net) == [[Region(0, 0.0, 0.05)]]


@pytest.mark.parametrize("epsilons", [[], [0.1, 0.1], [-0.1, 0], [0, float("nan")], 0.1])
def test_radii_that_cannot_be(epsilons):
    net, x = affine()
    with pytest.raises(ValueError, match="Expected epsilons to be finite numbers from 0 up"):
        walk(net, x, torch.tensor([0]), epsilons)


def test_a_direction_of_another_shape_and_a_tolerance_of_nothing():
    net, x = affine()
    with pytest.raises(ValueError, match="Expected direction to have the shape of x"):
        walk(net, x, torch.tensor([0]), RADII, torch.ones(1, 3))
    with pytest.raises(ValueError, match="Expected tolerance"):
        regions(walk(net, x, torch.tensor([0]), RADII), net, tolerance=0)

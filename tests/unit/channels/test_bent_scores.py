"""Defences in the answer and on the way to it: AAA, random features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.defences.adaptive import defences_of
from blackbox.evaluation.knowing import adapted
from blackbox.targets import AAA, Blacklight, InputNoise, RandomFeatures


class Line(nn.Module):
    """Logits (x, 0, -1): the margin is the first entry of the image, ten times."""

    def forward(self, x: Tensor) -> Tensor:
        first = 10 * x.flatten(1)[:, 0]
        return torch.stack([first, torch.zeros_like(first), torch.full_like(first, -1.0)], 1)


def margins(target: object, true: list[float]) -> tuple[list[float], Tensor, Tensor]:
    """What is shown of images with these true margins: margin, probabilities, labels."""
    x = torch.tensor(true).view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 10
    reply = bb.Oracle(target, "scores", 3, returns="auto")(x)
    p = reply.probabilities().double()
    top = p.topk(2, dim=1).values.log()
    return (top[:, 0] - top[:, 1]).tolist(), p, reply.label


class TestAAA:
    def test_the_linear_curve_is_the_margin_reversed_in_each_interval(self) -> None:
        true = [0.5, 2.0, 4.0, 5.5, 6.5, 8.0]
        shown, p, label = margins(AAA(Line()), true)
        assert shown == pytest.approx([5.5, 4.0, 2.0, 0.5, 11.5, 10.0], abs=1e-3)
        assert label.tolist() == [0] * 6 and torch.allclose(p.sum(1), torch.ones(6, dtype=torch.float64))

    def test_the_sine_meets_the_margin_in_the_middle_and_at_the_ends(self) -> None:
        shown, _, _ = margins(AAA(Line(), curve="sine"), [3.0, 1.5, 4.5, 9.0])
        assert shown == pytest.approx([3.0, 1.5 + 4.2, 4.5 - 4.2, 9.0], abs=1e-2)

    def test_the_confidence_is_that_of_the_temperature_where_the_margin_leaves_room(self) -> None:
        """Classes below the second carry what the two leave: margin 3 stays 3 in the middle of its interval."""
        _, p, _ = margins(AAA(Line(), temperature=1.1), [3.0])
        z = torch.tensor([3.0, 0.0, -1.0], dtype=torch.float64) / 1.1
        assert float(p[0, 0]) == pytest.approx(float(z.softmax(0)[0]), abs=1e-4) and p[0, 2] <= p[0, 1]
        _, p, _ = margins(AAA(Line(), temperature=9), [3.0])
        assert float(p[0, 1]) == pytest.approx(float(p[0, 2]))  # no room: as unsure as three classes can be with that margin

    def test_a_search_that_goes_downhill_is_led_away(self) -> None:
        """Square finds the boundary 4 logits away, not behind AAA: there every step to it looks like one back."""
        x, y = torch.full((8, 1, 2, 2), 0.45), torch.zeros(8, dtype=torch.int64)
        found = [bb.attack(bb.Oracle(t, "scores", 3), x, y, "square", bb.Linf(0.5), 40).success.sum() for t in (Line(), AAA(Line()))]
        assert found[0] >= found[1]
        with pytest.raises(ValueError, match="Expected curve to be one of linear, sine"):
            AAA(Line(), curve="step")

    def test_a_temperature_that_fits(self) -> None:
        torch.manual_seed(0)
        z = 2 * torch.randn(4000, 5)
        labels = torch.distributions.Categorical(logits=z).sample()
        assert AAA.temperature_of(3 * z, labels) == pytest.approx(3.0, rel=0.1)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.head = nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class TestRandomFeatures:
    X = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def test_the_noise_is_that_of_the_layer_and_new_each_time(self) -> None:
        net = Two().eval()
        with torch.no_grad():
            plain = net(self.X)
        guard = RandomFeatures(net, scale=0.2)  # before the head: its weights turn the noise into logits
        one, two = guard.predict(self.X), guard.predict(self.X)
        wanted = 0.2 * net.head.weight.norm(dim=1)
        assert torch.allclose((one - plain).std(0), wanted.detach(), rtol=0.35) and not torch.equal(one, two)
        again = RandomFeatures(net, scale=0.2)
        assert torch.allclose(torch.cat([again.predict(self.X[:20]), again.predict(self.X[20:])]), one, atol=1e-6)
        with torch.no_grad():
            assert torch.equal(net(self.X), plain)  # elsewhere the net is as it was
        assert guard.info.randomised and bb.Oracle(guard, "logits", 3).randomised

    def test_a_layer_by_its_name(self) -> None:
        net = Two().eval()
        assert RandomFeatures(net, 0.5, layer="body.0").predict(self.X).std() > 0
        with pytest.raises(ValueError, match="Expected a layer of the net, body, .*head.* but it was 'neck'"):
            RandomFeatures(net, layer="neck")
        with pytest.raises(ValueError, match="Expected a torch net behind"):
            RandomFeatures(lambda x: x.flatten(1)[:, :3]).predict(self.X)
        with pytest.raises(ValueError, match="since the net has no linear one"):
            RandomFeatures(Line())

    def test_through_other_channels(self) -> None:
        oracle = bb.Oracle(RandomFeatures(InputNoise(Two(), 0.01), 0.3), "scores", 3)
        assert not torch.equal(oracle(self.X).probabilities(), oracle(self.X).probabilities())


def test_which_wrapper_belongs_to_which_defence() -> None:
    target = AAA(Blacklight(Two(), action="reject"))
    assert defences_of(target) == ["AAA", "Blacklight"] and defences_of(Two()) == []
    assert adapted(bb.attacks.build("square"), []) is None

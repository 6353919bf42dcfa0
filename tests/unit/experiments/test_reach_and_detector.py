"""Walks to a class, detectors, one image file, and one class for a whole batch."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import blackbox as bb
import surrogates as sg
from blackbox.checks import as_labels
from blackbox.rng import Stream
from experiments.studies.detector import Guarded, suspicion, threshold, train_detector
from surrogates.data.loaders import photograph
from surrogates.training.adversarial import Adversarial


def affine(rows: list[list[float]], bias: list[float]) -> nn.Sequential:
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(rows[0]), len(rows)))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(rows))
        net[1].bias.copy_(torch.tensor(bias))
    return net.eval()


NET = affine([[1.0, 0.5, 0.0, 0.0], [-1.0, -0.5, 0.0, 0.0]], [-0.5, 0.5])  # the border: x0 + x1 / 2 = 1 / 2


def test_reach_comes_to_rest_at_the_border() -> None:
    reference = torch.tensor([0.7, 0.6, 0.5, 0.5]).view(1, 1, 2, 2).expand(3, -1, -1, -1)
    start = torch.stack([torch.zeros(4), torch.ones(4), torch.tensor([0.1, 0.9, 0.2, 0.0])]).view(3, 1, 2, 2)
    far = (0.7 + 0.3 - 0.5) / math.sqrt(1.25)
    made = sg.reach(NET, start, reference, 0, 1, weight=1.0, steps=300)
    assert made.success.all() and made.gradients == 300 and made.path.shape == (300, 3, 2)
    assert (made.distance >= far - 1e-5).all() and (made.distance < 1.25 * far).all()
    assert torch.allclose(
        made.x[:, 0, 1], torch.full((3, 2), 0.5), atol=0.1
    )  # what the net does not look at is restored
    free = sg.reach(NET, start, reference, 0, 1, weight=0.0, steps=300)
    assert (free.probability > made.probability).all() and torch.equal(free.x[:, 0, 1], start[:, 0, 1])


def test_reach_says_where_it_did_not_arrive() -> None:
    grey = torch.full((1, 1, 2, 2), 0.9)
    made = sg.reach(NET, grey, grey, 0, 1, weight=1000.0, steps=20)
    assert not made.success.any() and made.distance[0] < 0.05


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"weight": -1.0}, "weight to be at least 0"),
        ({"start": torch.zeros(2, 1, 2, 2)}, "a start for each reference"),
        (
            {"start": torch.full((1, 1, 2, 2), 0.9), "box": (0.0, 0.8), "reference": torch.zeros(1, 1, 2, 2)},
            "start to lie in the box",
        ),
        ({"target": 0}, "target other than the true label"),
        ({"steps": 0}, "steps to be positive"),
    ],
)
def test_reach_refuses(more: dict[str, Any], told: str) -> None:
    given = {"start": torch.zeros(1, 1, 2, 2), "reference": torch.zeros(1, 1, 2, 2), "y": 0, "target": 1, **more}
    with pytest.raises(ValueError, match=told):
        sg.reach(NET, given.pop("start"), given.pop("reference"), given.pop("y"), given.pop("target"), **given)


def test_guarded_rejects_exactly_where_the_alarm_is_raised() -> None:
    detector = affine([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [0.0, 0.0])  # suspicion: the third pixel
    x = torch.rand(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(suspicion(detector, x), x[:, 0, 1, 0])
    limit = threshold(detector, x, 0.1)
    alarm = suspicion(detector, x) > limit
    assert int(alarm.sum()) == 20
    said = sg.predict(Guarded(NET, detector, limit), x)
    assert torch.equal(said == 2, alarm)
    assert torch.equal(said[~alarm], sg.predict(NET, x)[~alarm])
    with pytest.raises(ValueError, match="share in"):
        threshold(detector, x, 1.0)


def test_a_detector_learns_what_is_plain_to_see() -> None:
    grey = 0.3 + 0.02 * torch.rand(80, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    net = train_detector(
        sg.build("mlp", 2, (1, 8, 8)),
        grey[:60],
        grey[:60] + 0.4,
        sg.Recipe(epochs=10, optimiser="adam", lr=1e-2),
        seed=0,
    )
    assert suspicion(net, grey[60:]).max() < 0 < suspicion(net, grey[60:] + 0.4).min()


def test_the_mixed_loss_is_the_share_it_says() -> None:
    lost: list[float] = []
    batch = SimpleNamespace(
        net=NET, x=torch.rand(2, 1, 2, 2), labels=torch.tensor([0, 1]), rng=Stream(0, np.arange(2, dtype=np.uint64)),
        loss=lambda x=None: (torch.tensor(1.0 if x is None else 5.0), torch.zeros(2, 2)), descend=lambda loss: lost.append(float(loss)),
    )  # fmt: skip
    for clean in (0.0, 0.25, 0.5):
        Adversarial(bb.Linf(0.1), attack="fgsm", clean=clean)(batch)  # type: ignore[arg-type]
    assert lost == [5.0, 4.0, 3.0]
    with pytest.raises(ValueError, match="clean to be a share"):
        Adversarial(bb.Linf(0.1), clean=1.0)


def test_a_photograph_is_read_grey_or_in_colour_and_cut(tmp_path: Path) -> None:
    Image.fromarray(np.full((10, 14), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((10, 14, 3), (51, 102, 255), np.uint8)).save(tmp_path / "colour.png")
    assert torch.equal(photograph(tmp_path / "grey.png"), torch.full((1, 1, 10, 14), 0.2))
    cut = photograph(tmp_path / "colour.png", 7)
    assert cut.shape == (1, 3, 7, 7) and torch.allclose(cut[0, :, 3, 3], torch.tensor([0.2, 0.4, 1.0]))
    with pytest.raises(FileNotFoundError, match="Expected an image file at"):
        photograph(tmp_path / "none.png")


def test_one_class_stands_for_all_images() -> None:
    assert as_labels(3, 4, 10).tolist() == [3] * 4
    x = torch.full((3, 1, 2, 2), 0.7)
    moved = sg.craft(NET, x, [0, 0, 0], "fgsm", threat=bb.Linf(0.1), target=1)
    assert torch.allclose(moved[:, 0, 0], torch.full((3, 2), 0.6))

"""The study of photographs: what is asked, how a net sees other sizes, and the tests of what was chosen."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from experiments import published_photographs as figures
from experiments.studies import family_photographs as study

BEST = {goal: {"source": "both", "recipe": recipe} for goal, recipe in (("untargeted", "sia"), ("targeted", "logit"))}


def test_what_was_chosen_and_noise_come_first_and_the_dearest_last() -> None:
    found = study.asked(BEST)
    assert found[:2] == [("untargeted", "both", "sia"), ("untargeted", "both", "noise")] and len(found) == len(set(found))
    assert found[-2:] == [(goal, "both", study.DEAR[1]) for goal in BEST]
    assert {("targeted", "SqueezeNet", "logit"), ("targeted", "MobileNet", "logit")} < set(found)
    scaled = study.asked({"untargeted": {"source": "both, scaled", "recipe": "sia"}})
    assert scaled[:2] == [("untargeted", "both, scaled", "sia"), ("untargeted", "both", "sia")], "beside the nets as they are"


def test_a_net_for_another_size_gives_gradients_of_the_size_that_it_is_shown() -> None:
    net = study.Resized(nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4)), 6)
    x = torch.rand(2, 3, 9, 9, requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape and bool((x.grad != 0).flatten(1).any(1).all())


def test_scaling_leaves_the_last_layer_and_the_biases() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(1, 1))
    before = [p.detach().clone() for p in net.parameters()]
    ratio = [float((p.detach() / old).mean()) for p, old in zip(study.scaled(net).parameters(), before, strict=True)]
    assert ratio == pytest.approx([study.SCALE, 1, 1, 1])


def test_a_class_to_reach_is_never_an_images_own() -> None:
    ids = np.arange(100)
    on = study.Photographs(torch.zeros(100, 1), torch.arange(100) * 10, ids, {}, {}, (torch.zeros(0), torch.zeros(0)), 0)
    assert bool((on.wanted != on.y).all()) and int(on.wanted.max()) < 1000


def test_the_choice_is_tested_against_all_rows_and_p_is_for_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(source: str, recipe: str, hits: int) -> dict[str, Any]:
        fooled = {"effnet": "1" * hits + "0" * (12 - hits)}
        return {"goal": "untargeted", "source": source, "recipe": recipe, "gradients": 1, "fooled": fooled}

    some = [row("both", "sia", 9), row("both", "noise", 0), row("both", "torchattacks MIFGSM", 4), row("both", "torchattacks DIFGSM", 7)]
    monkeypatch.setattr(figures, "results", lambda name: {"chosen": BEST, "reporting": some, "ids": list(range(12))})
    assert [figures.photograph_tests("untargeted", which) for which in ("all", "better", "worse")] == [3, 1, 0]
    assert {r["recipe"]: p for r, _, _, p in figures.tests("untargeted")}["noise"] == pytest.approx(3 * 2 * 0.5**9)
    assert str(figures.photograph_untold("untargeted")) == "torchattacks MIFGSM from both; torchattacks DIFGSM from both"
    assert str(figures.photograph_theirs("untargeted")) == "torchattacks DIFGSM"
    assert str(figures.photograph_gain("untargeted", "chosen", "theirs")).startswith("16.7 [")

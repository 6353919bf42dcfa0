"""Teaching asks once, for all nets, and no more than was said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from surrogates.acquisition.teach import blend


def nets_and_data() -> tuple[list[torch.nn.Module], sg.Dataset, torch.nn.Module]:
    data = sg.load("digits")
    target = sg.train(sg.build("mlp", 10, (1, 8, 8), seed=9), data, sg.Recipe(epochs=3), seed=9)
    return [sg.build("mlp", 10, (1, 8, 8), seed=i) for i in range(2)], data.take(slice(0, 300)), target


def test_teaching_asks_once_for_all_nets_and_brings_them_nearer() -> None:
    nets, own, target = nets_and_data()
    oracle = bb.Oracle(target, "scores", 10)
    before = [sg.fidelity(net, bb.Oracle(target, "labels", 10), own.images).k for net in nets]
    same = sg.teach(nets, own, oracle, 120, sg.Recipe(epochs=5))
    assert same[0] is nets[0] and oracle.rows == oracle.counts["train"] == 120
    after = [sg.fidelity(net, bb.Oracle(target, "labels", 10), own.images).k for net in nets]
    assert all(a > b + 50 for a, b in zip(after, before, strict=True))


def test_no_answers_ask_and_change_nothing() -> None:
    nets, own, target = nets_and_data()
    oracle, weights = bb.Oracle(target, "scores", 10), [p.clone() for p in nets[0].parameters()]
    sg.teach(nets, own, oracle, 0)
    assert oracle.rows == 0 and all(torch.equal(a, b) for a, b in zip(weights, nets[0].parameters(), strict=True))


@pytest.mark.parametrize("access", ["scores", "labels"])
def test_the_blend_holds_answers_where_there_are_some_and_labels_elsewhere(access: str) -> None:
    _, own, target = nets_and_data()
    told = sg.ask(bb.Oracle(target, access, 10), own, 40, seed=3)
    both = blend(own, told)
    asked = np.isin(np.arange(len(own)), told.index)
    assert len(both) == len(own) and torch.equal(both.labels[told.index], told.labels)
    assert torch.equal(both.labels[~asked], own.labels[~asked])
    if access == "scores":
        assert both.probabilities is not None and told.probabilities is not None
        assert torch.equal(both.probabilities[told.index], told.probabilities)
        assert bool((both.probabilities[~asked].amax(1) == 1).all())
    else:
        assert both.probabilities is None


def test_bad_input() -> None:
    nets, own, target = nets_and_data()
    with pytest.raises(ValueError, match="between 0 and the 300 images given, but it was 301"):
        sg.teach(nets, own, bb.Oracle(target, "scores", 10), 301)

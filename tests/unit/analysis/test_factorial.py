"""Factorial training: what each cell shares with the reference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import surrogates as sg
from surrogates.analysis.factorial import Cell
from tests.surrogate_doubles import images

X = images(80, (1, 8, 8))
DATA = sg.Dataset(X, (X[:, 0, 0, 0] * 5).long() % 3, ("a", "b", "c"))
SLOW = sg.Recipe(epochs=1, lr=1e-9, warmup=0.0, weight_decay=0.0)  # nets stay where they began


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_cells_share_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[sg.factorial.__module__]  # the package's name is bound to the function
    seen: list[tuple[torch.Tensor, int]] = []
    real = module.train
    monkeypatch.setattr(
        module, "train", lambda net, half, *a, **k: seen.append((half.images, k["seed"])) or real(net, half, *a, **k)
    )
    made = sg.factorial(DATA, ("mlp", "lenet"), SLOW, seed=1, replicates=2)
    assert len(made.nets) == 16 == len(set(made.nets))
    assert "disjoint data, other architecture, new initialisation #2" in made.nets
    for i, (name, net) in enumerate(made.nets.items(), 1):
        cell = made.cells[name]
        assert (net.arch == "mlp") is (cell.architecture == "same")
        assert torch.equal(seen[i][0], seen[0][0]) is (cell.data == "same")
        if cell.architecture == "same":
            near = torch.allclose(weights(net), weights(made.reference), atol=1e-5)
            assert near is (cell.initialisation == "same")
    assert len({order for _, order in seen}) == 17  # each net has an order of its own
    own, other = ({tuple(x.flatten().tolist()) for x in half.images} for half in (made.own, made.other))
    assert not own & other and len(own) == len(other) == 40
    fresh = sg.build("mlp", 3, (1, 8, 8), seed=1)
    assert torch.allclose(weights(made.reference), weights(fresh), atol=1e-5)
    replicas = [made.nets[str(Cell("same", "same", "new", r))] for r in (1, 2)]
    assert not torch.allclose(*map(weights, replicas), atol=1e-3)


def test_the_result_is_a_function_of_the_seed_and_can_be_cached(tmp_path: Path) -> None:
    recipe = sg.Recipe(epochs=1)
    first, again = (sg.factorial(DATA, ("mlp", "lenet"), recipe, seed=3, cache=tmp_path) for _ in range(2))
    assert all(
        torch.equal(weights(a), weights(b)) for a, b in zip(first.nets.values(), again.nets.values(), strict=True)
    )
    assert all("Read from" in sg.report(net).notes[-1] for net in again.nets.values())
    assert len(list(tmp_path.glob("*.pt"))) == 9
    assert "same data, same architecture, same initialisation" in first.table(DATA)


def test_own_builders_and_bad_input() -> None:
    made = sg.factorial(
        (DATA.images, DATA.labels),
        (lambda seed: sg.build("mlp", 3, (1, 8, 8), seed), lambda seed: sg.build("cnn", 3, (1, 8, 8), seed)),
        SLOW,
    )
    assert made.reference.arch == "mlp"
    with pytest.raises(ValueError, match="two architectures"):
        sg.factorial(DATA, ("mlp",), SLOW)
    with pytest.raises(ValueError, match="replicates"):
        sg.factorial(DATA, ("mlp", "cnn"), SLOW, replicates=0)

"""Every setting of every peer runs, is counted, and stops at the budget, and so does every entry; needs the extra [peers]."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

import blackbox as bb
from experiments.peers import adapters, entries, settings

pytestmark = pytest.mark.peers

CASES = [(peer, how) for peer in adapters.load() for how in peer.tried]


class Coloured(torch.nn.Module):
    """Ten classes from the means of ten parts of the image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = torch.nn.Linear(3 * 32 * 32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x.flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("peer", "how"), CASES, ids=[f"{p.part} {p.name}, {h.label}" for p, h in CASES])
def test_a_peer_spends_its_budget_on_each_image(peer: adapters.Peer, how: adapters.Setting) -> None:
    net, x = Coloured().eval(), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = net(x).argmax(1)
    threat = settings.THREATS[peer.part] or bb.Linf(1e-4)  # not to be fooled
    threat = bb.L2(1e-3) if peer.part == "l2" else threat
    meters, wrong = adapters.run(peer, how, net, x, y, threat, 1000, [0, 1])
    assert not wrong, wrong
    assert all(m.rows <= 1000 for m in meters) and all(m.rows > 600 or m.reached for m in meters), [m.rows for m in meters]
    if math.isinf(threat.eps):
        assert all(math.isfinite(m.distance_at(1000)) for m in meters)


@pytest.mark.parametrize("kind", entries.Entry.__subclasses__(), ids=lambda kind: kind.__name__)
def test_an_entry_plays(kind: type[entries.Entry]) -> None:
    """The engine counts it, alone and in company alike. ART's Square in L2 may ask about NaN, and gives up such an image."""
    net, x = Coloured().eval(), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = net(x).argmax(1)
    threat = {"Linf": bb.Linf(2e-3), "L2": bb.L2(2.0 if kind.part == "near" else 0.1), "L0": bb.L0(5)}[kind.norms[0]]

    def go(rows: list[int]) -> bb.AttackResult:
        oracle = bb.Oracle(net, kind.access, 10, rows_per_call=1)  # this net's last bits depend on the batch, and ZOO's differences on them
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = bb.attack(oracle, x[rows], y[rows], kind(), threat, 300, ids=rows)
        broken = kind is entries.ARTSquareL2 and "finite points" in "".join(str(each.message) for each in said)
        assert oracle.rows == int(result.queries.sum()) and (result.success | (result.queries > 200) | broken).all()
        return result

    both, one = go([0, 1]), go([1])
    assert both.queries[1] == one.queries[0] and torch.equal(both.x_adv[1], one.x_adv[0])

"""Every registered attack serves universal changes, with exact counts, without knowing of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg

SHAPE = (1, 4, 3)
DRAWS = np.random.default_rng(5)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (6, *SHAPE)), dtype=torch.float32)
W = torch.tensor(DRAWS.normal(size=12), dtype=torch.float32)
WIDE = {"Linf": bb.Linf(0.1), "L2": bb.L2(0.3), "L1": bb.L1(1)}
THREATS = [*WIDE.values(), bb.Patch(2), bb.Patch(2, location="random"), bb.Frame(1)]


def net(share: float) -> torch.nn.Module:
    """Two classes; the best change in Linf 0.1 fools all images where ``share`` is 1, and one half so large where it is 0.5."""
    made = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    with torch.no_grad():
        made[1].weight.copy_(torch.stack([0 * W, W]))
        made[1].bias.copy_(torch.stack([torch.zeros(()), -(X.flatten(1) @ W).max() - share * 0.1 * W.abs().sum()]))
    return made.eval()


@pytest.mark.filterwarnings("ignore:Expected answers that differ")  # from labels alone, bo is shown the same share again and again
@pytest.mark.parametrize("name", bb.attacks.names())
def test_every_attack_searches_a_change_for_all_images(name: str) -> None:
    kind, ran = bb.attacks.get(name), 0
    for threat in THREATS:
        searched = isinstance(threat, bb.Patch) and threat.location == "free"
        own = bb.attacks.build(name) if not kind.needs_prior else kind
        if searched != (name == "patch-rs") and (searched or name == "patch-rs"):
            continue
        if threat.norm in WIDE and threat.norm not in own.norms:
            continue
        prior = None if not kind.needs_prior else sg.universal_prior(net(0.7), X, [0] * 6, threat)
        for access in ("scores", "labels"):
            oracle = bb.Oracle(net(0.5), access, 2)
            found = bb.universal(oracle, X, [0] * 6, name, threat, 15, prior=prior)
            assert oracle.rows == found.queries == 6 * (found.tried + 1) and found.tried < 15 and found.right.all()
            assert bool((found.universal.apply(X) >= 0).all())
            ran += 1
    assert ran

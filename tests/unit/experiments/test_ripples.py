"""The study of waves: its waves are the attack's own, its rows are image by image, and its tables say what rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from experiments import measurements, published_ripples
from experiments.cases import Case
from experiments.studies import ripples


def small() -> Case:
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    net[1].weight.data = torch.randn(2, 768, generator=g)
    net[1].bias.data = -net[1].weight.data.sum(1) / 2
    x = 0.2 + 0.6 * torch.rand(12, 3, 16, 16, generator=g)
    return Case("small", net, x, net(x).argmax(1), bb.Linf(0.02), own=x[:0], ids=torch.arange(12) + 7, classes=2, data="cifar")


def test_its_waves_are_those_that_the_attack_shows_first() -> None:
    asked: list[Tensor] = []

    def stubborn(x: Tensor) -> Tensor:
        asked.append(x.clone())
        return torch.tensor([[0.9, 0.1]]).repeat(len(x), 1)

    x = torch.full((1, 3, 16, 16), 0.5)
    bb.attack(bb.Oracle(stubborn, "scores", 2), x, torch.zeros(1, dtype=torch.long), "ripples", bb.Linf(0.1), 5, seed=0)
    for shown, (direction, half) in zip(asked[1:5], (("both", 1), ("columns", 1), ("diagonal", 2), ("columns", 2)), strict=False):
        assert torch.allclose(shown, x + 0.1 * ripples.wave(direction, half, 16, 16))


def test_a_linear_net_loses_what_its_tangent_foretells() -> None:
    case = small()
    rows = ripples.waves(case, 0, ripples.gradient(case.net, case.images, case.labels))
    assert {(r["wave"], r["half"]) for r in rows} >= {("both", 1), ("rows", 16), ("noise", 0), ("flat", 0)}
    two = [r for r in rows if r["wave"] == "both" and r["half"] == 1]
    assert [r["sign"] for r in two] == [1, -1]
    for r in rows:
        assert r["taken"] == pytest.approx(r["foretold"], abs=1e-3)
        assert all((hit == "1") == (taken == 1) for hit, taken in zip(r["fooled"], r["taken"], strict=True))
    again = ripples.waves(case, 0, None)
    assert [r["taken"] for r in again] == [r["taken"] for r in rows], "controls are drawn by seed and id"


def test_makers_are_drawn_equally_often() -> None:
    rows = ripples.moves(ripples.Settings(moves=40), small(), 0)
    assert [r["maker"] for r in rows][-1] == "square" and len(rows) == 4
    tried = np.array([sum(r["tried"]) for r in rows])
    assert tried.sum() > 50 and tried.max() < 2 * tried.min()
    assert all(k <= t for r in rows for k, t in zip(r["kept"], r["tried"], strict=True))


def test_white_noise_is_flat_and_lines_of_one_pixel_lie_at_the_end() -> None:
    noise = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert np.array(ripples.spectrum(noise)).mean(0) == pytest.approx(np.ones(16), abs=0.25)
    lines = np.array(ripples.spectrum(ripples.wave("columns", 1, 32, 32).expand(1, 3, 32, 32)))
    assert lines[0].argmax() == 15 and lines[0][:15].max() < 1e-6


def test_the_tables_say_what_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [("both", 1, 1), ("both", 1, -1), *((w, h, 1) for _, w, h in published_ripples.SHOWN[1:])]
    waves: list[dict[str, Any]] = [
        {"wave": w, "half": h, "sign": s, "seed": 0, "fooled": "1100" * 10, "taken": [1, 1, 0.2, 0.6] * 10,
         "foretold": [0.1, 0.3, 0, 0] * 10}
        for w, h, s in names
    ]  # fmt: skip
    makers = [
        {"maker": name, "seed": 0, "tried": [2, 0] * 20, "kept": [1, 0] * 20, "gained": [gain * (1 + i % k / 10) for i in range(40)]}
        for name, gain, k in (("ripples", 0.08, 4), ("ripples, double", 0.04, 6), ("square", 0.02, 8))
    ]
    about = {"target": {"name": "resnet8"}, "images": {"among": "raw", "data": "cifar"}, "ids": list(range(40))}
    spectrum = {"gradient": [[1.0] * 8 + [3.0] * 8] * 40, "images": [[1.0] * 16] * 40}
    (tmp_path / "ripples").mkdir()
    path = tmp_path / "ripples" / "resnet8.json"
    path.write_text(json.dumps({**about, "waves": waves, "makers": makers, "spectrum": spectrum}))
    monkeypatch.setattr(measurements, "RESULTS", tmp_path)
    monkeypatch.setattr(published_ripples, "SHOWN", published_ripples.SHOWN[:2])
    (line,) = published_ripples.wave_table("taken").rows
    assert line[:2] == ["ResNet-8", 40] and line[2].value == pytest.approx(0.7) and line[2].percent
    (line,) = published_ripples.wave_table("fooled").rows
    assert line[2].value == 0.5
    (line,) = published_ripples.foretold_by_tangent().rows
    assert line[4].value == pytest.approx(0.1)
    (line,) = published_ripples.move_table().rows
    assert line[1] == 20 and line[2].value > line[3].value > line[4].value and line[5].value == pytest.approx(3, abs=0.6)
    images, net = published_ripples.spectrum_table().rows
    assert net[4].value > images[4].value and sum(f.value for f in net[2:]) == pytest.approx(1, abs=0.01)
    path.write_text(json.dumps({**about, "waves": [{**w, "seed": 100} for w in waves], "makers": makers, "spectrum": spectrum}))
    with pytest.raises(ValueError, match="seed 100"):
        published_ripples.wave_table("taken")

"""What one PGD, the ensemble and Square leave: rows of a small net, and the tables made of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import blackbox as bb
from experiments import ceilings, measurements
from experiments.cases import Case
from experiments.runner import Book
from experiments.studies import ceiling


def small() -> Case:
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    net[1].weight.data = torch.randn(4, 12, generator=g)
    net[1].bias.data = -net[1].weight.data.sum(1) / 2
    x = torch.rand(20, 3, 2, 2, generator=g)
    return Case("small", net, x, net(x).argmax(1), bb.Linf(0.03), own=x[:0], ids=torch.arange(20) + 7, classes=4)


def test_the_rows_of_a_seed_are_image_by_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    s = ceiling.Settings(steps=5, budget=30)
    ceiling.of_seed(s, book := Book("ceiling/small", s), small(), 0)
    one, top, square = book.found["rows"]
    assert [r["attack"] for r in (one, top, square)] == ["pgd", "ensemble", "square"]
    assert all(t >= o for o, t in zip(one["found"], top["found"], strict=True)) and 0 < sum(top["found"]) < 20
    assert all((b >= 0) == bool(f) for b, f in zip(top["broken by"], top["found"], strict=True))
    assert len(square["queries"]) == 20 and max(square["queries"]) <= 30
    ceiling.of_seed(s, book, small(), 0)
    assert len(book.found["rows"]) == 3, "kept rows are not measured again"


def test_the_tables_count_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attacks, rows = ["PGD", "APGD-CE"], []
    for seed in (0, 1):
        rows += [
            {"attack": "pgd", "seed": seed, "found": [1, 0, 0, 0] * 10, "gradients": [50] * 40, "seconds": 2.0},
            {"attack": "ensemble", "seed": seed, "found": [1, 1, 0, 0] * 10, "gradients": [50, 100, 100, 100 + seed] * 10,
             "seconds": 3.0 + seed, "attacks": attacks, "broken by": [0, 1, -1, -1] * 10},
            {"attack": "square", "seed": seed, "found": [1, 0, 1 - seed, 0] * 10, "queries": [5] * 40},
        ]  # fmt: skip
    about = {"target": {"name": "vit_adv"}, "images": {"among": "raw"}, "ids": list(range(40))}
    (tmp_path / "ceiling").mkdir()
    (tmp_path / "ceiling" / "vit_adv.json").write_text(json.dumps({**about, "rows": rows}))
    monkeypatch.setattr(measurements, "RESULTS", tmp_path)
    (line,) = ceilings.ceiling_table().rows
    assert line[1] == 40 and [round(v.value, 3) for v in line[2:5]] == [0.75, 0.5, 0.625] and line[5:7] == [10, 10]
    assert (line[7].value, line[8].brief) == (pytest.approx(87.6, abs=0.1), "1.75 [1.50, 2.00]")
    assert list(ceilings.broken_table().rows) == [[line[0], 80, 20, 20]]
    (tmp_path / "ceiling" / "vit_adv.json").write_text(json.dumps({**about, "rows": [{**r, "seed": r["seed"] + 100} for r in rows]}))
    with pytest.raises(ValueError, match="seed 100"):
        ceilings.ceiling_table()

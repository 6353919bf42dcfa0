"""What defences leave: rows of a small net, and the tables made of rows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import blackbox as bb
from experiments import defended, measurements
from experiments.cases import Case
from experiments.studies import defences


def small() -> Case:
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    net[1].weight.data = torch.randn(4, 192, generator=g)
    net[1].bias.data = -net[1].weight.data.sum(1) / 2
    x = torch.rand(10, 3, 8, 8, generator=g)
    return Case("small", net, x, net(x).argmax(1).detach(), bb.Linf(0.1), own=x[:0], ids=torch.arange(10), classes=4, data="cifar")


def test_each_row_is_on_a_defence_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    case = small()
    monkeypatch.setattr(defences.ground, "images", lambda *_: (SimpleNamespace(images=case.images, labels=case.labels), None))
    made = defences.Defended(defences.Settings(budget=20), "small", case)
    plain, guarded = made.attacked("none", "square", False), made.attacked("blacklight", "square", False)
    assert len(guarded["flagged"]) == 10 and sum(guarded["flagged"]) > 50 > sum(plain["flagged"]) == 0
    assert sum(guarded["found"]) <= sum(plain["found"])
    noise = made.attacked("input noise", "square", False)
    assert noise["value"] == made.chosen["input noise"] > 0
    assert set(made.cost("blacklight")) == {"commit", "different images", "frames of clips"} and "1" in made.cost("aaa")["clean"]


def test_the_tables_count_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(defence: str, attack: str, knowing: bool, share: float) -> dict[str, object]:
        found = [int(i < 40 * share) for i in range(40)]
        return {"defence_name": defence, "attack": attack, "knowing": knowing, "seed": 0, "budget": 100, "found": found,
                "flagged": [0 if defence in ("none", "aaa") else i % 7 for i in range(40)]}  # fmt: skip

    rows = [outcome("none", "square", False, 1), outcome("blacklight", "square", False, 0.1), outcome("blacklight", "square", True, 0.75),
            outcome("aaa", "square", False, 0.25)]  # fmt: skip
    benign = [{"defence_name": "blacklight", "different images": "0" * 49 + "1", "frames of clips": "01" * 50},
              {"defence_name": "aaa", "clean": "1" * 30 + "0" * 10}]  # fmt: skip
    about = {"target": {"name": "resnet8"}, "images": {"among": "raw"}, "ids": list(range(40))}
    (tmp_path / "defences").mkdir()
    (tmp_path / "defences" / "resnet8.json").write_text(json.dumps({**about, "rows": rows, "benign": benign}))
    monkeypatch.setattr(measurements, "RESULTS", tmp_path)
    plain, guarded = defended.rejecting_table().rows
    assert plain[2:4] == ["none", "square"] and plain[5:] == ["–"] * 5 and [v.value for v in guarded[4:6]] == [0.1, 0.75]
    assert guarded[-2] == bb.Rate(1, 50) and guarded[-1] == bb.Rate(50, 100)
    lines = list(defended.bent_table().rows)
    assert [line[2] for line in lines] == ["none", "aaa"] and lines[1][3].value == 0.75 and lines[1][-1] == bb.Rate(30, 40)
    assert defended.defended("resnet8", "blacklight", "square", "knowing").value == 0.75
    with pytest.raises(ValueError, match="there is none"):
        defended.defended("resnet8", "qpa", "square", "alone")

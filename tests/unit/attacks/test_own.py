"""Attacks and presets of one's own: in a file, or in an installed package."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox import attacks, plugins, specs
from blackbox.checkpoint import CheckpointError
from blackbox.sweep.plan import Plan
from blackbox.sweep.run import run
from blackbox.sweep.study import Study
from blackbox.testing.contract_run import run_contract
from surrogates.crafting import presets
from tests.commands import Cli
from tests.own_attack import OWN

X = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
with torch.no_grad():
    NET[1].weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))  # logits that no seed makes look like shares
    NET[1].bias.zero_()
    Y = NET(X).argmax(1)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    return Path("mine.py")


def attack(what: Any, **more: Any) -> bb.AttackResult:
    return bb.attack(bb.Oracle(NET, "scores", 3), X, Y, what, bb.Linf(0.1), 15, seed=3, **more)


def same(a: bb.AttackResult, b: bb.AttackResult) -> None:
    torch.testing.assert_close(a.x_adv, b.x_adv, atol=0, rtol=0)
    torch.testing.assert_close(a.queries, b.queries)


def test_from_python(file: Path) -> None:
    kind = attacks.get("mine.py:Flip")
    by_name = attack("mine.py:Flip")
    same(by_name, attack(kind()))
    assert by_name.config["attack"] == "Flip" and attacks.get("mine.py:Flip") is kind, "the file is run once"
    same(attack("mine.py:twice"), attack(kind(count=2)))
    assert attacks.build("mine.py:twice", count=3) == kind(count=3)
    assert not torch.equal(by_name.x_adv, attack("mine.py:twice").x_adv)
    found = bb.variants("mine.py:Flip", count=[1, 2])
    assert list(found.values()) == [kind(1), kind(2)]
    assert pickle.loads(cloudpickle.dumps(kind(2))).count == 2


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("none.py:Flip", FileNotFoundError, "Python file at none.py"),
        ("mine.py:Flop", ValueError, "an attack called 'Flop' in mine.py, but there is none. Did you mean 'Flip'"),
        ("mine.py:nothing", ValueError, "to be an attack, .* but it was 3"),
        ("bad.py:Flip", ValueError, "bad.py to load, but it raised ZeroDivisionError"),
        ("out.py:Flip", ValueError, "Expected out.py to load, but it .*__main__"),
        ("flip", ValueError, "or file.py:Class, but it was 'flip'"),
    ],
)
def test_names_that_cannot_be(file: Path, name: str, kind: type, told: str) -> None:
    Path("bad.py").write_text("1 / 0")
    Path("out.py").write_text("raise SystemExit(0)")
    with pytest.raises(kind, match=told):
        attack(name)


def test_the_contract_names_what_is_wrong(file: Path) -> None:
    file.write_text(OWN.replace("> s.loss\n", "> s.loss.mean()\n"))  # one row depends on the others
    found = list(run_contract("mine.py:Flip", optimum_budget=1, optimum_share=0, run_budget=20, budgets=(2,)))
    assert {each.name for each in found if each.fault} >= {"same in any company"} and any(not each.fault for each in found)


def test_an_edited_attack_is_another(file: Path, tmp_path: Path) -> None:
    study = Study(attack={
        "targets": "digits:knn", "attacks": ["mine.py:Flip", "square", {"name": "mine.py:Flip", "count": 2}],
        "threats": "linf:0.3", "budgets": 8, "seeds": [0, 1],
    }, images={"n": 4})  # fmt: skip
    before = Plan.of(study)
    assert {point.what for point in before.points} == {"mine.py:Flip", "square", "mine.py:Flip count=2"}
    plain = Study(attack={**study.attack.model_dump(), "attacks": ["square"]}, images={"n": 4})
    assert {before.first[p] for p in before.points if p.what == "square"} == set(Plan.of(plain).first.values())
    run(study, tmp_path / "store.sqlite")
    with pytest.raises(ZeroDivisionError):
        attack("mine.py:Flip", checkpoint=tmp_path / "c", progress=lambda p: 1 / 0)
    file.write_text(OWN.replace("PIXEL", "other"))
    after = Plan.of(study)
    same_key = {point.what for point in after.points if after.first[point] == before.first[point]}
    assert same_key == {"square"}
    table = run(study, tmp_path / "store.sqlite")
    fresh = run(study, tmp_path / "fresh.sqlite")
    assert str(table) == str(fresh)
    with pytest.raises(CheckpointError, match="attack's file"):
        attack("mine.py:Flip", checkpoint=tmp_path / "c")


def test_presets(file: Path) -> None:
    Path("parts.py").write_text(
        "import surrogates as sg\nfrom surrogates.crafting.parts import Momentum\n"
        "mine = Momentum(0.5)\nmade = sg.presets.get('mi-fgsm').swap(mine)\ndef late():\n    return mine\n"
    )
    kind = presets.get("parts.py:mine")
    assert kind.name == "mine" and presets.get("parts.py:made").steps == 10 and presets.get("parts.py:late").parts == kind.parts
    want = sg.craft(NET, X, Y, kind.parts, threat=bb.Linf(0.1), seed=0)
    torch.testing.assert_close(sg.craft(NET, X, Y, "parts.py:mine", threat=bb.Linf(0.1), seed=0), want, atol=0, rtol=0)
    study = Study(transfer={"sources": "digits:mlp", "targets": "digits:cnn", "presets": "parts.py:mine", "threats": "linf:0.1"})
    first = Plan.of(study)
    Path("parts.py").write_text(Path("parts.py").read_text() + "# edited\n")
    assert set(first.first.values()).isdisjoint(Plan.of(study).first.values())
    with pytest.raises(ValueError, match="a preset called 'mien' in parts.py, but there is none. Did you mean|It has"):
        presets.get("parts.py:mien")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with entry points, as pip would leave it."""
    info = tmp_path / "site" / "own_attacks-2.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-attacks\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text(
        "[blackbox.attacks]\nflip = own_attacks:Flip\nsquare = own_attacks:Flip\nlost = own_attacks:Lost\n"
        "[surrogates.presets]\nown-fgsm = own_attacks:own\n"
    )
    (tmp_path / "site" / "own_attacks.py").write_text(f"{OWN}\nfrom surrogates.crafting.parts import Momentum\nown = Momentum(0.3)\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    sys.modules.pop("own_attacks", None)


def test_an_installed_package(package: None, said: Cli) -> None:
    assert attacks.names()[-2:] == ["flip", "lost"] and attacks.get("square") is bb.attacks.Square
    result = attack("flip")
    assert result.config["attack"] == "flip"
    same(result, attack(attacks.get("flip")()))
    assert attacks.print_of("flip") == "own-attacks 2.1" and attacks.print_of("square") == ""
    assert specs.build("flip", ["count=2"])["flip"].count == 2
    assert presets.get("own-fgsm").name == "own-fgsm" and presets.names()[-1] == "own-fgsm"
    assert presets.print_of("own-fgsm") == "own-attacks 2.1"
    with pytest.raises(ValueError, match="Expected lost of the package own-attacks to load"):
        attack("lost")
    out = said("list", "attacks").stdout
    assert "\nflip\ttopk\tLinf\t" in out and "\nlost\t\t\tExpected lost of the package" in out
    study = Study(attack={"targets": "digits:knn", "attacks": "flip", "threats": "linf:0.3", "budgets": 8}, images={"n": 4})
    assert Plan.of(study).prints["flip"] == "own-attacks 2.1"
    assert plugins.plugins("blackbox.targets") == {}


def test_every_registered_attack_keeps_its_name() -> None:
    for name in attacks.REGISTRY:
        kind = attacks.get(name)
        assert attacks.name_of(object.__new__(kind)) == name


def test_evaluated_with(file: Path) -> None:
    def oracle(access: str) -> bb.Oracle:
        return bb.Oracle(NET, access, 3)

    found = bb.evaluate(oracle, X, Y, bb.Linf(0.1), budgets=[5], levels=["scores"], attack="mine.py:Flip")
    assert found.rows[-1].attack == "Flip" and found.results["scores", 5].config["attack"] == "Flip"
    with pytest.raises(ValueError, match="at least topk for Flip, but one was labels"):
        bb.evaluate(oracle, X, Y, bb.Linf(0.1), budgets=[5], attack="mine.py:Flip")

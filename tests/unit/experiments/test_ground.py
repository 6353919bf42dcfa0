"""What settings are chosen on and what is reported are kept apart by name; nothing here needs the data folder."""

from __future__ import annotations

import ast
import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from experiments import ground, nets
from experiments.runner import RESULTS


def test_nothing_is_for_choosing_and_for_reporting() -> None:
    assert list(ground.offences()) == []


@pytest.mark.parametrize(
    ("table", "name", "change", "told"),
    [
        ("seeds", "choosing", [0, 100], "seeds [0] are for choosing and for reporting"),
        ("targets", "resnet20", {"images": "raw"}, "the target resnet20 is for choosing, but its images raw are not"),
        ("targets", "resnet20", {"weights": "cifar10_resnet32"}, "the weights cifar10_resnet32 are for choosing and for reporting"),
        ("images", "raw-filtered", {"marked": {}}, "the images raw-filtered and raw may share some"),
        ("images", "digits-second", {"part": [4999, 9999]}, "the images digits-second and digits may share some"),
        ("images", "jpeg", {"file": "npz:cifar10_raw.npz", "without": ""}, "the images raw-filtered and jpeg may share some"),
        ("images", "jpeg-pairs", {"within": "raw-filtered"}, "the images raw-filtered and jpeg-pairs may share some"),
        ("chosen", "square, p_init", {"by": "x", "targets": ["resnet32"]}, "square, p_init was chosen on resnet32, which is not"),
        ("chosen", "a", {"by": "x", "targets": ["resnet20"], "seeds": [0]}, "a was chosen on seed 0, which is not for choosing"),
    ],
)
def test_what_is_on_both_sides_is_told(table: str, name: str, change: Any, told: str) -> None:
    tables = copy.deepcopy(ground.ground())
    before = tables[table].get(name, {})
    tables[table][name] = before | change if isinstance(change, dict) else change
    assert [found for found in ground.offences(tables) if found.startswith(told)]


def test_every_name_leads_somewhere() -> None:
    tables = ground.ground()
    assert set(ground.targets("choosing")) | set(ground.targets("reporting")) == set(tables["targets"])
    for name, target in tables["targets"].items():
        assert ground.threat(target["threat"]).eps > 0 and ground.data_of(name) in ground.CLASSES
        assert ("own" in target) + ("spec" in target) + ("loader" in target) == 1, name
        assert {"title", "family", "robust"} <= set(target), name
    for prior in tables["priors"].values():
        assert prior["kind"] in ("trained", "untrained", "misled") and set(prior.get("nets", [{"arch": 0}])[0]) >= {"arch"}
        assert ("learned" in prior) == (prior["kind"] == "trained") and (prior.get("of", "two") in tables["priors"])
    assert set(tables["learned"]) == set(nets.SETS), "what nets of one's own learn from is told"
    for one in tables["learned"].values():
        assert isinstance(one["of_the_targets"], bool) and set(one["attacked"]) <= set(tables["images"])
    for chosen in tables["chosen"].values():
        assert find_spec(chosen["by"].split()[0].rstrip(",")) is not None
        assert all((RESULTS / f"{name}.json").exists() for name in chosen.get("rows", ())), "rows that show a choice are committed"


def test_a_target_of_ones_own_is_not_attacked_with_itself() -> None:
    assert ground.holds("one", "own_cnn") and ground.holds("misled", "own_vgg") and not ground.holds("one", "own_vgg")
    assert not any(ground.holds(prior, target) for prior in ("two-unseen", "two-jpeg", "untrained") for target in ("own_cnn", "own_vgg"))
    assert not any(ground.holds(prior, "densenet") for prior in ground.priors("cifar"))


def test_whoever_takes_a_case_says_what_for() -> None:
    """A study that chooses is refused the targets that are reported on, because it says that it chooses."""
    silent, said = [], 0
    for path in sorted(Path(ground.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ground.case":
                said += 1
                if path.name != "agreement.py" and not any(word.arg == "use" for word in node.keywords):  # that one measures no attack
                    silent.append(f"{path.name} line {node.lineno}")
    assert said and not silent


def test_a_reported_target_is_refused_to_whoever_chooses() -> None:
    with pytest.raises(ValueError, match="Expected what is kept for choosing, but the target densenet is for reporting"):
        ground.case("densenet", Path("none"), use="choosing")
    with pytest.raises(ValueError, match="but the set of images jpeg is for reporting"):
        ground.case("resnet20", Path("none"), among="jpeg")
    with pytest.raises(ValueError, match=r"Expected one of the targets of ground.toml \(.*but it was 'vgg'"):
        ground.case("vgg", Path("none"))
    with pytest.raises(ValueError, match="choosing or reporting, but it was 'both'"):
        ground.seeds("both")
    with pytest.raises(ValueError, match="Expected images of mnist for lenet, but raw are of cifar"):
        ground.case("lenet", Path("none"), among="raw")

"""Scenario files: unknown fields and names are one sentence each; the overlap of training data is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox.league import sealed, signing
from blackbox.league.material import load, overlap
from blackbox.league.scenario import FOLDER, read
from blackbox.league.told import lacking, of_scenario

TEXT = """
name = "s"
threat = "linf:8/255"
budget = 10
[images]
data = "npz:attacked.npz"
[[targets]]
name = "a"
model = "one.py:answer"
trained_on = {{ data = "npz:target.npz" }}
{more}
[attacker]
access = "queries"
feedback = "scores"
quality = "other"
quantity = 4
"""


def written(folder: Path, more: str = "", *edits: tuple[str, str]) -> Path:
    text = TEXT.format(more=more)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / "s.toml").write_text(text)
    return folder / "s.toml"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("budget = 10", ""), "budget is missing"),
        (("budget = 10", "bugdet = 10"), "it has bugdet, which is no field of it. Did you mean 'budget'?"),
        (("budget = 10", "budget = 10\nbudgetts = 3"), "it has budgetts, which is no field of it. Did you mean 'budget'?"),
        (("budget = 10", "budget = 0"), "of budget: Input should be greater than or equal to 1, and it was 0"),
        (("quantity = 4", ""), "attacker.quantity is missing"),
        (('feedback = "scores"', 'feedback = "vibes"'), "of attacker.feedback: Expected"),
        (('feedback = "scores"', 'feedback = "scores:3"'), "of attacker.feedback: Expected a number of classes after topk only"),
        (('feedback = "scores"', 'feedback = "topk:few"'), "of attacker.feedback: Expected the number behind --access topk"),
        (('quality = "other"', 'quality = "none"'), "Expected quality none with quantity 0"),
        (("linf:8/255", "linf:-1"), "of threat: Expected"),
        (("linf:8/255", "linff:8/255"), "of threat: Expected the norm to be one of"),
        (('model = "one.py:answer"', "sealed = false"), "Expected a model for a, or sealed = true, but there were neither"),
        (('name = "a"', 'name = "a b"'), "of targets.0.name: String should match"),
        (("budget = 10", "budget = 10\nchannels = 'jpog:3'"), "Expected --channel"),
        (("budget = 10", "budget = 10\ntariff = {query = 1, flaged = 2}"), "Did you mean 'flagged'?"),
        (("budget = 10", "budget = 10\ntariff = {query = 1, lock_out = 0}"), "of tariff: Expected lock_out"),
        (("budget = 10", "budget = 10\ntariff = {query = 3, most = 2}"), "of tariff: Expected most to pay for a query at least"),
        (("budget = 10", "budget = 10\nvotes = 2"), "an odd number"),
        (("budget = 10", "budget = 10\nseeds = [1, 1]"), "Expected seeds that differ"),
        (('access = "queries"', 'access = "none"'), "Expected budget = 1 with access none"),
        (("budget = 10", "budget = "), "to be TOML, but it is not"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, edit: tuple[str, str], said: str) -> None:
    with pytest.raises(ValueError, match="^Expected ") as caught:
        read(written(tmp_path, "", edit))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_scenario_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match="Did you mean 'mini'"):
        read("minni")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_those_that_ship(path: Path) -> None:
    found, digest = read(path.stem)
    assert found.name == path.stem and len(digest) == 64 and found.about


def test_those_of_transferbench_say_what_has_to_be_put_where(tmp_path: Path) -> None:
    paths = sorted((FOLDER / "transferbench").glob("*.toml"))
    assert len(paths) == 17 and len({read(path)[0].name for path in paths}) == 17
    for path in paths:
        name = f"transferbench/{path.stem}"
        text, lacks = of_scenario(name, str(tmp_path))
        assert lacks == f"Expected a .npz file at images.npz, but there is none. What belongs there is said in {path}."
        assert "51 queries an image" in text and "the class that targets.npy has for each image" in text
        head = path.read_text().partition("name =")[0]
        for file in lacking(read(name)[0], tmp_path):
            assert f"#   {file} " in head
    assert "nets.py, of resnet56 and vgg13_bn and vgg16_bn" in of_scenario("transferbench/cifar10-hetero-resnet56", str(tmp_path))[0]


def test_the_overlap_is_measured_by_pixels(tmp_path: Path) -> None:
    images = (np.arange(10 * 16).reshape(10, 1, 4, 4) / 255).astype(np.float32)
    for name, rows in (("attacked", [0, 1, 2, 3]), ("target", [4, 5, 6]), ("own", [3, 4, 5, 7, 8])):
        np.savez(tmp_path / f"{name}.npz", images=images[rows], labels=np.zeros(len(rows), np.int64))
    pool = """
[[surrogates]]
name = "known"
model = "one.py:answer"
trained_on = { data = "npz:own.npz" }
[[surrogates]]
name = "unknown"
model = "one.py:answer"
[[targets]]
name = "b"
sealed = true
"""
    m = load(written(tmp_path, pool, ("budget = 10", "budget = 10\nclasses = 2")), tmp_path)
    known: dict[Any, Any] = {(surrogate, target): shares for surrogate, target, *shares in overlap(m, tmp_path)}
    assert known == {
        ("known", "a"): [2 / 5, 1 / 4], ("known", "b"): [None, 1 / 4], ("unknown", "a"): [None, None], ("unknown", "b"): [None, None],
    }  # fmt: skip


def test_keys_and_sealed_slots_are_the_hosts_alone(tmp_path: Path) -> None:
    private, public = signing.make(tmp_path / "keys")
    sealed.write(tmp_path / "sealed.toml", ["digits:cnn"], ["one"], [5])
    assert private.stat().st_mode & 0o777 == (tmp_path / "sealed.toml").stat().st_mode & 0o777 == 0o600
    signed = signing.sign("text", signing.private(private))
    assert signing.holds(signed, signing.public(public))
    assert not signing.holds(signed.model_copy(update={"body": "text "}), signing.public(public))
    with pytest.raises(FileExistsError, match="Expected no key"):
        signing.make(tmp_path / "keys")
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    with pytest.raises(ValueError, match="outside any repository"):
        signing.make(tmp_path / "repo" / "keys")
    private.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        signing.private(private)
    (tmp_path / "nets").mkdir()
    for name in "abc":
        (tmp_path / "nets" / f"{name}.safetensors").write_bytes(b"")
    sealed.make(tmp_path / "drawn.toml", ["one", "two"], [], str(tmp_path / "nets"), "lenet:{}")
    models = [slot.model for slot in sealed.read(tmp_path / "drawn.toml").slots]
    assert len(set(models)) == 2 and all(model.startswith("lenet:") for model in models)
    with pytest.raises(ValueError, match="a sealed slot"):
        sealed.make(tmp_path / "none.toml", [], [])

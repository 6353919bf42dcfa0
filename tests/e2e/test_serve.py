"""Files and endpoints by their spec: on the command line and in studies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import specs
from blackbox.cli import options
from blackbox.specs import loaders
from blackbox.specs.model import file_print
from blackbox.sweep.plan import Plan
from blackbox.sweep.run import run
from blackbox.sweep.study import Study
from surrogates import Dataset
from tests.served_nets import CLASSES, SHAPE, Counting, images, net, served
from tests.unit.targets.test_files import exported, scripted

ROOT = Path(__file__).resolve().parents[2]
X = images(8)
DATA = Dataset(X, net()(X).argmax(1), tuple("abcd"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", images=X.numpy(), labels=DATA.labels.numpy())
    return tmp_path


def gradient(made: torch.nn.Module) -> torch.Tensor:
    x = X.clone().requires_grad_(True)
    return torch.autograd.grad(made(x).square().sum(), x)[0]


def test_specs(folder: Path) -> None:
    scripted(folder / "a.pt"), scripted(folder / "b.ts"), exported(folder / "c.pt2")
    with served() as server:
        for spec in ("a.pt", "b.ts", "c.pt2", server.url, f"{server.url}#rows=3,rate=1e6,retries=2,form=json"):
            (model,) = specs.models(spec, DATA, CLASSES)
            oracle = specs.oracle(model, "scores", CLASSES)
            torch.testing.assert_close(oracle(X).values, net()(X).softmax(1))
            assert oracle.rows == len(X) and (model.net is not None) == (spec in ("a.pt", "b.ts"))
            for _ in range(3 if model.net is not None else 0):  # loaded once: asked and differentiated in turn
                torch.testing.assert_close(gradient(model.net), gradient(net()))
                torch.testing.assert_close(oracle(X).values, net()(X).softmax(1))
        assert oracle.max_rows == 3
    torch.save(net().state_dict(), "w.pt")
    assert loaders.find("w.pt") is loaders.find("lenet:a.pt") is loaders.NET


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("none.ts", "no such file"),
        ("none.onnx", "there is none"),
        ("a.pt#rows=3", "no settings"),
        ("http://example.com", "--own-endpoint"),
        ("http://127.0.0.1:9#speed=3", "setting of http://127.0.0.1:9 .*rate"),
        ("http://127.0.0.1:9#rate=fast", "rate"),
        ("http://127.0.0.1:9#own_endpoint=true", "own_endpoint"),
        ("http://127.0.0.1:9#retries=-1", "retries"),
        ("http://127.0.0.1:9", "Is it running"),
    ],
)
def test_specs_that_cannot_be(folder: Path, spec: str, match: str) -> None:
    scripted(folder / "a.pt")
    with pytest.raises((ValueError, OSError, ModuleNotFoundError), match=match) as caught:
        specs.models(spec, DATA, CLASSES)
    assert str(caught.value).startswith("Expected")


def test_another_shape_and_another_normalisation(folder: Path) -> None:
    exported(folder / "c.pt2")
    with pytest.raises(ValueError, match=r"images of 1×8×8, which is what c\.pt2 takes, but they were 3×8×8"):
        specs.models("c.pt2", Dataset(torch.rand(1, 3, 8, 8), torch.zeros(1, dtype=torch.int64), ("a", "b")), 2)
    with pytest.raises(ValueError, match="normalises by itself"):
        specs.models("c.pt2", DATA, CLASSES, options.Nets(mean="0.5"))


def test_prints_tell_models_apart(folder: Path) -> None:
    scripted(folder / "a.ts")
    (folder / "n.onnx").write_bytes(b"graph")
    before = file_print("n.onnx#threads=1")
    (folder / "n.onnx.data").write_bytes(b"weights")
    assert len({file_print("a.ts"), before, file_print("n.onnx")}) == 3, "weights beside an ONNX file belong to it"
    with pytest.raises(FileNotFoundError, match=r"no file none\.pt2"):
        file_print("none.pt2")
    with served() as one, served(access="labels") as other:
        assert len({file_print(one.url), file_print(other.url)}) == 2
        assert file_print(one.url) == file_print(f"{one.url}#rate=9999")


def test_a_study_over_files_and_an_endpoint(folder: Path) -> None:
    scripted(folder / "a.ts")
    model = Counting()
    with served(model) as server:
        grid = {"targets": ["a.ts", f"{server.url}#rows=5"], "attacks": "square", "threats": "linf:0.1", "budgets": 9}
        study = Study(images={"data": "npz:x.npz"}, attack=grid, block=4, classes=CLASSES)
        table = run(study, folder / "store.sqlite")
        assert len(list(Plan.of(study).cells())) == 4
        here, there = Plan.of(study).points
        assert table.queries(here) == table.queries(there) and str(table.rate(here)) == str(table.rate(there))
        seen = model.seen
        assert seen >= table.queries(there)[0] * len(X) > 8
        run(study, folder / "store.sqlite")
        assert model.seen == seen, "a second call has nothing to ask"


@pytest.fixture
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    scripted(folder / "a.ts")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["serve", "a.ts", "--port", "0", "--shape", "1,8,8", "--classes", "4", "--access", "topk:2", "--channel", "round:2"]
    child = subprocess.Popen([sys.executable, "-m", "blackbox", *words], env=env, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert child.stdout is not None
    found = re.match(r"serving +(.*) at (http://127\.0\.0\.1:\d+)$", child.stdout.readline())
    assert found
    try:
        yield child, found[2]
    finally:
        child.kill()
        child.wait()


def test_the_verb(serving: tuple[subprocess.Popen[str], str]) -> None:
    child, url = serving
    target = bb.targets.HttpTarget(url)
    assert (target.announced["access"], target.k, target.shape, target.resolution) == ("topk", 2, SHAPE, 0.01)
    oracle = bb.Oracle(target, "topk", CLASSES, k=2)
    same = bb.targets.TopK(bb.targets.Rounded(net(), 2), 2)
    assert torch.equal(oracle(X).classes, bb.Oracle(same, "topk", CLASSES, k=2)(X).classes)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0 and child.stdout is not None
    out = child.stdout.read()
    assert "topk:2 of 4 classes for images of 1×8×8" in out and "answered         8 rows" in out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"host": "0.0.0.0"}, "--expose"),
        ({"port": 70000}, "--port"),
        ({"shape": "1,8"}, "--shape|images of shape"),
        ({"shape": "1,8,8", "nets": options.Nets()}, "together with --classes"),
        ({"target": "none.ts"}, "no such file"),
        ({"max_rows": 0}, "max_rows"),
    ],
)
def test_what_cannot_be_served(folder: Path, words: dict, match: str) -> None:
    from blackbox.cli.serve import run as serve

    scripted(folder / "a.ts")
    known = {
        "target": "a.ts", "port": 0, "host": "127.0.0.1", "expose": False, "access": None, "channels": [], "max_rows": 9,
        "data": "digits", "shape": "1,8,8", "seed": 0, "nets": options.Nets(4), "quiet": True,
    }  # fmt: skip
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        serve(**{**known, **words})


def test_a_port_that_is_taken(folder: Path) -> None:
    from blackbox.cli.serve import run as serve

    scripted(folder / "a.ts")
    with served() as server, pytest.raises(ValueError, match="to be free to listen at"):
        serve(
            "a.ts", int(server.url.rpartition(":")[2]), "127.0.0.1", False, None, [], 9, "digits", "1,8,8", 0,
            options.Nets(4), True,
        )  # fmt: skip

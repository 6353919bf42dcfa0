"""ONNX files, TorchScript and exported programs answer as the net they came from; what could run code is refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.targets import ExportedTarget, OnnxTarget, ScriptTarget
from tests.served_nets import CLASSES, SHAPE, images, net

X = images(7)
FREE = {0: torch.export.Dim("rows")}


def onnx_file(path: Path, model: nn.Module | None = None, example: Tensor = X, free: bool = True, **more: Any) -> Path:
    """Written by torch's own exporter; in one file."""
    axes = {"x": {0: "rows"}, "y": {0: "rows"}} if free else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net() if model is None else model, (example,), path, dynamo=False, input_names=["x"],
            dynamic_axes=axes, **{"output_names": ["y"], **more},
        )  # fmt: skip
    return path


def scripted(path: Path, model: nn.Module | None = None, trace: bool = False) -> Path:
    """Written by torch.jit.save."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = net() if model is None else model
        (torch.jit.trace(model, X) if trace else torch.jit.script(model)).save(str(path))
    return path


def exported(path: Path, model: nn.Module | None = None, dims: dict[int, Any] = FREE) -> Path:
    """Written by torch.export.save. The archive's inner folder bears the file's name."""
    if model is None and dims is FREE:
        path.write_bytes(_exported())
        return path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net() if model is None else model, (X,), dynamic_shapes=(dims,)), path)
    return path


@cache
def _exported() -> bytes:
    """The net with a free number of rows: asked for often, and made in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        return exported(Path(folder) / "n.pt2", net()).read_bytes()


class Doubled(nn.Module):
    """Takes 64-bit floats; onnxruntime has few operators for these on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x.float())
        return out


MADE: dict[str, Callable[[Path], Any]] = {
    "onnx": lambda p: OnnxTarget(onnx_file(p / "n.onnx")),
    "onnx, 7 rows": lambda p: OnnxTarget(onnx_file(p / "n.onnx", free=False)),
    "onnx, 64 bits": lambda p: OnnxTarget(onnx_file(p / "n.onnx", Doubled(), X.double())),
    "script": lambda p: ScriptTarget(scripted(p / "n.ts")),
    "trace": lambda p: ScriptTarget(scripted(p / "n.pt", trace=True)),
    "exported": lambda p: ExportedTarget(exported(p / "n.pt2")),
    "exported, 7 rows": lambda p: ExportedTarget(exported(p / "n.pt2", dims={})),
    "exported, 3 to 8": lambda p: ExportedTarget(exported(p / "n.pt2", dims={0: torch.export.Dim("r", min=3, max=8)})),
}


@pytest.mark.parametrize("how", MADE)
def test_the_answers_are_those_of_the_net(how: str, tmp_path: Path) -> None:
    target = MADE[how](tmp_path)
    x, here = images(20, seed=1), bb.Oracle(net(), "logits", CLASSES, returns="logits")
    oracle = bb.Oracle(target, "logits", CLASSES, returns="logits")
    rows = 0
    for m in (1, 2, 7, 20):
        reply = oracle.submit(x[:m], "user")
        torch.testing.assert_close(reply.values, here(x[:m]).values, atol=1e-5, rtol=1e-5)
        assert torch.equal(reply.label, here(x[:m]).label)
        rows += m
        assert oracle.rows == rows, "rows that fill up a call are nobody's queries"
    if not isinstance(target, ScriptTarget):
        assert target.shape == SHAPE
        with pytest.raises(bb.TargetError, match=r"images of 1×8×8.*3×8×8"):
            oracle.submit(torch.rand(2, 3, 8, 8), "user")
        assert oracle.rows == rows and oracle.failed == 2


def test_a_whole_attack_is_the_same(tmp_path: Path) -> None:
    results = []
    for target in (net(), ScriptTarget(scripted(tmp_path / "n.ts")), ExportedTarget(exported(tmp_path / "n.pt2"))):
        oracle = bb.Oracle(target, "scores", CLASSES, rows_per_call=4)
        results.append(bb.attack(oracle, X, oracle(X).label, "square", bb.Linf(0.1), 20, seed=1))
    for result in results[1:]:
        assert torch.equal(result.queries, results[0].queries)


class Whole(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.net(x)
        return y.argmax(1), y


class TestOnnx:
    def test_several_outputs(self, tmp_path: Path) -> None:
        path = onnx_file(tmp_path / "two.onnx", Two(), output_names=["label", "y"])
        with pytest.raises(ValueError, match=r"one output.*has 2: label, y.*#output=y"):
            OnnxTarget(path)
        with pytest.raises(ValueError, match="label or y, but it was 'z'"):
            OnnxTarget(path, output="z")
        target = OnnxTarget(path, output="y")
        torch.testing.assert_close(target.predict(X), net()(X), atol=1e-5, rtol=1e-5)
        labels = bb.Oracle(OnnxTarget(path, output="label"), "labels", CLASSES)
        assert torch.equal(labels(X).label, net()(X).argmax(1))

    def test_classes_are_announced(self, tmp_path: Path) -> None:
        target = OnnxTarget(onnx_file(tmp_path / "n.onnx"))
        assert target.classes == CLASSES
        with pytest.raises(ValueError, match="classes=4"):
            bb.Oracle(target, "scores", 10)

    def test_what_is_no_classifier_of_images(self, tmp_path: Path) -> None:
        flat = onnx_file(tmp_path / "flat.onnx", nn.ReLU(), torch.rand(5), free=False)
        with pytest.raises(ValueError, match=r"rows of images.*shape \[5\]"):
            OnnxTarget(flat)
        whole = onnx_file(tmp_path / "int.onnx", Whole(), torch.ones(2, 3, dtype=torch.int64))
        with pytest.raises(ValueError, match=r"floats in \[0, 1\].*int64"):
            OnnxTarget(whole)

    def test_files(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="ONNX file at none.onnx"):
            OnnxTarget("none.onnx")
        whole = onnx_file(tmp_path / "n.onnx").read_bytes()
        for content in (whole[: len(whole) // 2], b"", b"<html>"):
            (tmp_path / "torn.onnx").write_bytes(content)
            with pytest.raises(ValueError, match="Expected .*torn.onnx to be an ONNX file that onnxruntime"):
                OnnxTarget(tmp_path / "torn.onnx")

    def test_the_provider(self, tmp_path: Path) -> None:
        path = onnx_file(tmp_path / "n.onnx")
        assert OnnxTarget(path)._session.get_providers() == ["CPUExecutionProvider"]
        with pytest.raises(ValueError, match=r"provider that is installed.*CPUExecutionProvider.*'Quantum'"):
            OnnxTarget(path, provider="Quantum")
        with pytest.raises(ValueError, match="threads"):
            OnnxTarget(path, threads=0)

    def test_without_onnxruntime(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        (tmp_path / "n.onnx").write_bytes(b"a graph")
        with pytest.raises(ModuleNotFoundError, match=r"onnxruntime to be installed.*\[onnx\]"):
            OnnxTarget(tmp_path / "n.onnx")


def changed(path: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """A copy of an archive with parts changed, left out (None) or added."""
    out = path.with_name(f"changed{path.suffix}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
        for name, content in more.items():
            new.writestr(f"{old.namelist()[0].partition('/')[0]}/{name}", content)
    return out


class Saves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "written")
        return x


class Maps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("written", True, 4).sum()


class TestScript:
    @pytest.mark.parametrize("model", [Saves, Maps])
    def test_programs_that_touch_files(
        self, model: type[nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = scripted(tmp_path / "evil.ts", model())
        with pytest.raises(ValueError, match=r"names (save|from_file).*refused"):
            ScriptTarget(path)
        assert not (tmp_path / "written").exists()

    @pytest.mark.parametrize(
        "line",
        [
            '_0 = getattr(torch, "sa" "ve")', "_0 = ops", "_0 = ops.c10d.broadcast_", "_0 = torch . save", '_0 = getattr(torch, "save")',
            "_0 = __torch__.torch.classes.dist_c10d.Store",
        ],
    )  # fmt: skip
    def test_other_ways_there(self, line: str, tmp_path: Path) -> None:
        def add(name: str, content: bytes) -> bytes:
            return content + f"\n    {line}\n".encode() if name.endswith("container.py") else content

        assert ScriptTarget(changed(scripted(tmp_path / "n.ts"), lambda _, content: content)).predict(X).shape == (7, 4)
        with pytest.raises(ValueError, match="only computes"):
            ScriptTarget(changed(tmp_path / "n.ts", add))

    def test_what_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="TorchScript at none.ts"):
            ScriptTarget("none.ts")
        torch.save(net().state_dict(), tmp_path / "weights.pt")
        torch.save(net(), tmp_path / "pickle.pt")
        (tmp_path / "torn.pt").write_bytes(scripted(tmp_path / "n.ts").read_bytes()[:3000])
        (tmp_path / "text.pt").write_text("<html>")
        for name in ("weights", "pickle", "torn", "text"):
            with pytest.raises(ValueError, match=r"as torch.jit.save writes it.*Pickles are refused"):
                ScriptTarget(tmp_path / f"{name}.pt")
        with pytest.raises(ValueError, match="but it is an exported program"):
            ScriptTarget(exported(tmp_path / "n.pt2"))


class Trap:
    def __reduce__(self) -> Any:
        return (open, ("sprung", "w"))


def trap() -> bytes:
    out = io.BytesIO()
    torch.save(Trap(), out)
    return out.getvalue()


def described(change: Callable[[dict[str, Any]], None]) -> Callable[[str, bytes], bytes]:
    """Change the description of the program."""

    def one(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        change(program)
        return json.dumps(program).encode()

    return one


def node(**values: Any) -> Callable[[str, bytes], bytes]:
    return described(lambda program: program["graph_module"]["graph"]["nodes"][2].update(values))


def size(expression: str) -> Callable[[str, bytes], bytes]:
    def change(program: dict[str, Any]) -> None:
        for value in program["graph_module"]["graph"]["tensor_values"].values():
            for n in value["sizes"]:
                if "as_expr" in n:
                    n["as_expr"]["expr_str"] = expression

    return described(change)


EVIL = {
    "an attribute of torch": (node(target="torch.os.system"), "torch.os.system"),
    "an operator that writes": (node(target="torch.ops.aten.save.default"), "aten.save"),
    "an operator that maps": (node(target="torch.ops.aten.from_file.default"), "from_file"),
    "an extension": (node(target="#evil:a"), "#evil"),
    "a caller of methods": (node(target="_operator.methodcaller"), "methodcaller"),
    "a name that is code": (node(name="a): open('sprung','w'); f(b"), "name"),
    "an input that is code": (
        described(lambda p: p["graph_module"]["graph"]["inputs"][0]["as_tensor"].update(name="a=open('sprung', 'w')")),
        "name",
    ),
    "a size that is code": (size("open('sprung', 'w')"), "expr_str"),
    "a size of attributes": (size("s0.__class__.__mro__"), "expr_str"),
    "a tree of another type": (
        described(
            lambda p: p["graph_module"]["module_call_graph"][0]["signature"].update(
                out_spec='[1, {"type": "evil.Type", "context": "null", "children_spec": []}]'
            )
        ),
        "out_spec",
    ),
    "a pickled weight": (
        lambda n, c: c.replace(b'"use_pickle": false', b'"use_pickle": true') if "weights_config" in n else c,
        "pickle",
    ),
}


class TestExported:
    @pytest.mark.parametrize("what", EVIL)
    def test_what_could_run_code(self, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        change, match = EVIL[what]
        path = changed(exported(tmp_path / "n.pt2"), change)
        with pytest.raises(ValueError, match=f"only computes.*{match}"):
            ExportedTarget(path)
        assert not (tmp_path / "sprung").exists()

    def test_pickles_beside_the_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = exported(tmp_path / "n.pt2")
        for name in ("data/weights/model.pt", "data/constants/opaque_obj_0", "data/aotinductor/model/a.so", "models/b.json"):
            with pytest.raises(ValueError, match=f"holds n/{name}"):
                ExportedTarget(changed(path, lambda _, c: c, **{name: trap()}))
        # the sample inputs are not needed, and not read; guards are source code, and left out
        path = changed(path, lambda n, c: trap() if "sample_inputs" in n else c)
        path = changed(path.rename(tmp_path / "m.pt2"), described(lambda p: p.update(guards_code=["open('sprung', 'w')"])))
        torch.testing.assert_close(ExportedTarget(path).predict(X), net()(X))
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.slow
    def test_torch_alone_would_have_run_it(self, tmp_path: Path) -> None:
        """Else these refusals would protect from nothing."""
        path = changed(exported(tmp_path / "n.pt2"), lambda n, c: trap() if "sample_inputs" in n else c)
        code = f"import torch; torch.export.load(r'{path}')"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=120)
        assert (tmp_path / "sprung").exists()

    def test_what_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="exported program at none.pt2"):
            ExportedTarget("none.pt2")
        whole = exported(tmp_path / "n.pt2").read_bytes()
        for content in (whole[: len(whole) // 2], b"", b"<html>"):
            (tmp_path / "torn.pt2").write_bytes(content)
            with pytest.raises(ValueError, match=r"as torch.export.save writes it.*is it whole"):
                ExportedTarget(tmp_path / "torn.pt2")
        with pytest.raises(ValueError, match="shape|tuple|one tensor"):
            ExportedTarget(exported(tmp_path / "two.pt2", Two())).predict(X)

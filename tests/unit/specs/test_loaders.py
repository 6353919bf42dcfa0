"""The table of model specs, and what installed packages add to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from blackbox import specs
from blackbox.specs import loaders
from blackbox.specs.model import file_print
from surrogates import Dataset

X = torch.rand(2, 1, 2, 2)
DATA = Dataset(X, torch.tensor([0, 1]), ("a", "b"))


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        ("digits:svm-rbf,knn", "digits:NAME"), ("HTTPS://a.b/c", "http://127.0.0.1:PORT"), ("a/b.py:f", "file.py:function"),
        ("net.onnx#threads=2", "net.onnx"), ("net.pt2", "net.pt, net.ts, net.pt2"), ("resnet20:w.pt", "NET:path.safetensors"),
        ("w.safetensors", "path.safetensors"), ("torchvision:resnet18:w.pth", "torchvision:NAME:path"), ("hf:a/b@v1", "hf:DIR"),
        (".", "runs/s1"), ("rest:a.toml", "rest:FILE.toml"), ("unknown", "NET:path.safetensors"),
    ],
)  # fmt: skip
def test_a_spec_has_one_kind(spec: str, form: str) -> None:
    assert loaders.find(spec).form == form


def test_the_nearest_prefix_is_suggested_and_all_forms_are_named() -> None:
    with pytest.raises(ValueError) as caught:
        specs.models("digts:knn", DATA, 2)
    said = str(caught.value)
    assert "Did you mean 'digits:knn'?" in said and said.count("Other models are") == 1
    assert all(each.form in said for each in loaders.TABLE if each is not loaders.NET)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with an entry point, as pip would leave it."""
    info = tmp_path / "site" / "own_models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[blackbox.targets]\nown = own_models:load\ndigits = own_models:load\nbroken = own_models:nothing\n"
    )
    (tmp_path / "site" / "own_models.py").write_text(
        "import torch\n"
        "def load(text, *, bias: float = 0.0):\n"
        "    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))\n"
        "    net[1].weight.data.fill_(float(text)), net[1].bias.data.copy_(torch.tensor([bias, 0.0]))\n"
        "    return net\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path
    sys.modules.pop("own_models", None)


def test_an_installed_package_brings_a_prefix(package: Path) -> None:
    (made,) = specs.models("own:2#bias=3", DATA, 2)
    torch.testing.assert_close(made.net(X), (2 * X.flatten(1).sum(1))[:, None] + torch.tensor([3.0, 0.0]))
    assert specs.oracle(made, "scores", 2)(X).values.shape == (2, 2)
    assert loaders.find("digits:knn").load == "blackbox.specs.model:digits", "a package replaces no kind of ours"
    assert file_print("own:2") == ""
    with pytest.raises(ValueError, match=r"a setting of own:2 \(bias=0.0\), but it was 'bais'. Did you mean 'bias'"):
        specs.models("own:2#bais=3", DATA, 2)
    with pytest.raises(ValueError, match=r"Expected broken of the package own-models to load from own_models:nothing"):
        specs.models("broken:2", DATA, 2)
    with pytest.raises(ValueError, match=r"own:…"):
        specs.models("nothing:2", DATA, 2)

"""Hugging Face data sets in and out: what is written is read back as it was."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import blackbox as bb
import surrogates as sg
from blackbox.results.pictures import read_picture


def bright(x: torch.Tensor) -> torch.Tensor:
    over = x.flatten(1).double().mean(1) - 110 / 255
    return torch.stack([-over, over], 1) * 50


X = (torch.arange(3 * 48).reshape(3, 3, 4, 4) % 100) / 255
Y = torch.tensor([0, 0, 1])


@pytest.fixture(scope="module")
def result() -> bb.AttackResult:
    x = torch.full((4, 1, 2, 2), 100 / 255)
    x[3] = 200 / 255
    return bb.attack(bb.Oracle(bright, "scores", 2), x, torch.tensor([0, 0, 1, 1]), "square", bb.Linf(20 / 255), 40)


def written(folder: Path, **columns: list) -> str:
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["dark", "bright"])})
    pictures = [Image.fromarray((x.permute(1, 2, 0) * 255).round().byte().numpy()) for x in X]
    datasets.Dataset.from_dict({"picture": pictures, "kind": Y.tolist(), **columns}, features=features).save_to_disk(str(folder))
    return f"datasets:{folder}"


def test_a_data_set_is_read_with_its_names(tmp_path: Path) -> None:
    found = sg.load(written(tmp_path / "set"))
    assert torch.equal(found.images, X) and torch.equal(found.labels, Y) and found.classes == ("dark", "bright")
    datasets.load_from_disk(str(tmp_path / "set")).to_parquet(str(tmp_path / "files" / "a.parquet"))
    assert torch.equal(sg.load(f"datasets:{tmp_path}/files#image=picture,label=kind").images, X)


def test_parts_are_named(tmp_path: Path) -> None:
    one = datasets.load_from_disk(written(tmp_path / "set").removeprefix("datasets:"))
    datasets.DatasetDict({"train": one, "test": one.select([2])}).save_to_disk(str(tmp_path / "parts"))
    assert len(sg.load(f"datasets:{tmp_path}/parts", split="test")) == 1 == len(sg.load(f"datasets:{tmp_path}/parts#split=test"))
    with pytest.raises(ValueError, match=r"one of train, test .*none was named"):
        sg.load(f"datasets:{tmp_path}/parts")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    spec = written(tmp_path / "set")
    with pytest.raises(ValueError, match="there are picture, kind"):
        sg.load(f"{spec}#image=photo")
    with pytest.raises(ValueError, match=r"image=COLUMN.*colour"):
        sg.load(f"{spec}#colour=red")
    with pytest.raises(FileNotFoundError):
        sg.load("datasets:nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Parquet"):
        sg.load(f"datasets:{tmp_path}/empty")


def test_a_result_becomes_a_data_set(result: bb.AttackResult, tmp_path: Path) -> None:
    clean = torch.full((4, 1, 2, 2), 100 / 255)
    clean[3] = 200 / 255
    table = result.to_dataset(clean, ["dark", "bright"])
    assert table["success"][:] == [True, True, False, False] and table["queries"][:] == result.queries.tolist()
    assert table["first_success_query"][2] is None and table["attacked"][:] == [True, True, False, True]
    assert table.features["label"].names == ["dark", "bright"]
    rows = result.save_pictures(tmp_path, clean)
    for i, row in enumerate(rows):
        shown = torch.from_numpy(np.array(table["adversarial"][i])).float()[None] / 255
        assert torch.equal(shown, read_picture(tmp_path / str(row["file"])))
    assert table["adversarial"][2] is None

"""Data sets, their specs, and splits by purpose."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import surrogates as sg
from tests.surrogate_doubles import images


def test_digits() -> None:
    d = sg.load("digits")
    assert (
        d.images.shape == (1797, 1, 8, 8)
        and d.shape == (1, 8, 8)
        and len(d) == 1797
        and d.classes == tuple("0123456789")
    )
    assert float(d.images.max()) == 1 and d.augment == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40), st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(2, 5))
def test_parts_are_disjoint_stratified_and_repeat(seed: int, sizes: list[int], classes: int) -> None:
    labels = torch.arange(240) % classes
    # each image carries its own number, so that one sees who went where
    data = sg.Dataset((torch.arange(240) / 240).view(-1, 1, 1, 1), labels, tuple(map(str, range(classes))))
    parts = sg.split(data, {str(i): s for i, s in enumerate(sizes)}, seed)
    seen = torch.cat([p.images.flatten() for p in parts.values()])
    assert len(seen) == sum(sizes) == len(seen.unique())
    for part, size in zip(parts.values(), sizes, strict=True):
        counts = torch.bincount(part.labels, minlength=classes)
        assert int((counts - size / classes).abs().max()) <= 2
        whole = (part.images.flatten() * 240).round().long()
        assert torch.equal(part.labels, whole % classes)
    again = sg.split(data, {str(i): s for i, s in enumerate(sizes)}, seed)
    assert all(torch.equal(again[k].images, parts[k].images) for k in parts)


def test_shares_and_counts_and_names() -> None:
    d = sg.load("digits")
    parts = sg.split(d, {"target_train": 0.5, "surrogate_train": 0.3, "attack": 200})
    assert [len(p) for p in parts.values()] == [898, 539, 200] and parts["attack"].name == "digits/attack"
    other = sg.split(d, {"target_train": 0.5}, seed=1)["target_train"]
    assert not torch.equal(other.images, parts["target_train"].images)


@pytest.mark.parametrize("sizes", [{"a": 0}, {"a": 1.5}, {"a": -0.1}, {"a": 1797, "b": 1}, {"a": 0.0001}])
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        sg.split(sg.load("digits"), sizes)


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        (np.full((4, 5, 6), 255, np.uint8), (1, 5, 6)),
        (np.full((4, 5, 6, 3), 255, np.uint8), (3, 5, 6)),
        (np.full((4, 3, 5, 6), 1.0), (3, 5, 6)),
    ],
)
def test_npz_in_the_usual_layouts(tmp_path: Path, raw: np.ndarray, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "d.npz", images=raw, labels=np.array([0, 1, 2, 1], np.uint8))
    d = sg.load(f"npz:{tmp_path}/d.npz")
    assert d.shape == shape and d.labels.tolist() == [0, 1, 2, 1] and len(d.classes) == 3 and float(d.images.min()) == 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((2, 4, 4))}, "it lacks labels (it has images)"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros(2)}, "whole numbers"),
        ({"images": np.zeros((2, 4, 4)), "labels": np.zeros(3, int)}, "one label for each of the 2 images"),
        ({"images": np.zeros((2, 4, 4), int), "labels": np.zeros(2, int)}, "uint8 or floats"),
        ({"images": np.full((2, 4, 4), 7.0), "labels": np.zeros(2, int)}, "Divide by 255"),
        ({"images": np.zeros((2, 4)), "labels": np.zeros(2, int)}, "shape [N, H, W]"),
        ({"images": np.array([{}, {}]), "labels": np.zeros(2, int)}, "can run any code"),
    ],
)
def test_npz_that_is_none(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError) as error:
        sg.load(f"npz:{tmp_path}/d.npz")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_damaged_and_missing_npz(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match=r"d\.npz"):
        sg.load(f"npz:{tmp_path}/d.npz")
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        sg.load("npz:nothing.npz")


def make_folder(root: Path, sizes: tuple[tuple[int, int], ...] = ((6, 6), (6, 6)), mode: str = "RGB") -> Path:
    for c, name in enumerate(("n02099712_Labrador_retriever", "n01443537_goldfish")):
        (root / name).mkdir(parents=True)
        for i, size in enumerate(sizes):
            Image.new(mode, size, (40 * c + 20 * i) if mode == "L" else (255, 40 * c, 20 * i)).save(
                root / name / f"{i}.png"
            )
    return root


def test_folder(tmp_path: Path) -> None:
    d = sg.load(f"folder:{make_folder(tmp_path / 'p')}")
    assert d.images.shape == (4, 3, 6, 6) and d.labels.tolist() == [0, 0, 1, 1] and d.classes[0] == "n01443537_goldfish"
    assert d.augment == ("flip", "crop") and float(d.images[0, 0].min()) == 1
    grey = sg.load(f"folder:{make_folder(tmp_path / 'g', mode='L')}")
    assert grey.shape == (1, 6, 6) and grey.augment == ()
    assert len(sg.load(f"folder:{tmp_path}/p", per_class=1)) == 2


def test_folder_with_other_class_orders(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "p")
    for names in (
        ["n00000001 tench", "n02099712 Labrador_retriever", "n01443537 goldfish"],
        ["tench", "Labrador retriever", "Goldfish"],
        ["tench", "n02099712_Labrador_retriever", "n01443537_goldfish"],
    ):
        assert sg.load(f"folder:{root}", classes=names).labels.tolist() == [2, 2, 1, 1]
    (tmp_path / "classes.txt").write_text("tench\nlabrador retriever\ngoldfish\n")
    d = sg.load(f"folder:{root}", classes=tmp_path / "classes.txt")
    assert d.labels.tolist() == [2, 2, 1, 1] and len(d.classes) == 3
    with pytest.raises(ValueError, match="'n01443537_goldfish' is none of them"):
        sg.load(f"folder:{root}", classes=["tench", "labrador retriever"])
    with pytest.raises(ValueError, match="fits 2 of them"):
        sg.load(f"folder:{root}", classes=["goldfish", "labrador retriever", "Goldfish"])
    with pytest.raises(FileNotFoundError, match="class name a line"):
        sg.load(f"folder:{root}", classes=tmp_path / "none.txt")


def test_folder_of_different_sizes(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "p", ((30, 20), (20, 40)))
    with pytest.raises(ValueError, match=r"30x20 pixels like the first, but .*1\.png has 20x40"):
        sg.load(f"folder:{root}")
    assert sg.load(f"folder:{root}", size=14).shape == (3, 14, 14)
    # a gradient from left to right: the centre is what remains, scaled from the shorter side
    ramp = np.tile(np.arange(40, dtype=np.uint8) * 6, (20, 1))
    for folder in root.iterdir():
        for file in folder.iterdir():
            Image.fromarray(ramp).save(file)
    row = sg.load(f"folder:{root}", size=10, resize=20).images[0, 0, 0] * 255
    assert torch.allclose(row, torch.arange(15, 25) * 6.0, atol=1e-3)


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sg.load("folder:nowhere")
    with pytest.raises(ValueError, match="one subfolder of images for each class"):
        sg.load(f"folder:{tmp_path}")
    root = make_folder(tmp_path / "p")
    (root / "zebra").mkdir()
    with pytest.raises(ValueError, match="zebra is empty"):
        sg.load(f"folder:{root}")
    (root / "zebra" / "0.png").write_bytes(b"this is no picture")
    with pytest.raises(ValueError, match=r"zebra/0\.png to be a readable image"):
        sg.load(f"folder:{root}")
    whole = (root / "n01443537_goldfish" / "0.png").read_bytes()
    (root / "zebra" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"zebra/0\.png to be a readable image"):
        sg.load(f"folder:{root}")


def test_torchvision_sets_are_read_from_disk_and_never_downloaded(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels, labels = np.arange(3 * 28 * 28, dtype=np.uint8), bytes([3, 0, 9])
    for part in ("t10k", "train"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, 3, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 3) + labels)
    d = sg.load(f"mnist:{tmp_path}", train=True)
    assert d.shape == (1, 28, 28) and d.labels.tolist() == [3, 0, 9] and len(d.classes) == 10 and d.augment == ("crop",)
    assert torch.equal((d.images[0, 0, 0, :5] * 255).round(), torch.arange(5.0))
    for kind in ("cifar10", "svhn", "fashionmnist"):
        with pytest.raises(FileNotFoundError, match="Nothing is downloaded"):
            sg.load(f"{kind}:{tmp_path}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["MNIST"]


@pytest.mark.parametrize("spec", ["imagenet:there", "digit", "folder:", "cifar10"])
def test_unknown_specs_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="digits, folder:"):
        sg.load(spec)


def test_datasets_that_are_none() -> None:
    with pytest.raises(ValueError, match="channels, height, width"):
        sg.Dataset(torch.rand(3, 4), torch.zeros(3, dtype=torch.int64), ("a", "b"))
    with pytest.raises(ValueError, match="sample 1 has 2"):
        sg.Dataset(images(3), torch.tensor([0, 2, 1]), ("a", "b"))
    d = sg.Dataset(images(3), torch.tensor([0, 1, 1]), ("a", "b"))
    assert len(d.take([0, 2])) == 2 and d.take(d.labels == 1).labels.tolist() == [1, 1] and len(d.take(slice(1))) == 1


def test_a_photograph_is_read_grey_or_in_colour_and_cut(tmp_path: Path) -> None:
    Image.fromarray(np.full((10, 14), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((10, 14, 3), (51, 102, 255), np.uint8)).save(tmp_path / "colour.png")
    assert torch.equal(sg.data.photograph(tmp_path / "grey.png"), torch.full((1, 1, 10, 14), 0.2))
    cut = sg.data.photograph(tmp_path / "colour.png", 7)
    assert cut.shape == (1, 3, 7, 7) and torch.allclose(cut[0, :, 3, 3], torch.tensor([0.2, 0.4, 1.0]))
    with pytest.raises(FileNotFoundError, match="Expected an image file at"):
        sg.data.photograph(tmp_path / "none.png")

"""Image files of every mode: the numbers are those of the file, divided by what is white in its mode; or the mode is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import surrogates as sg

RAMP = np.arange(256, dtype=np.float64).reshape(16, 16) / 255


def folder(root: Path, image: Image.Image, name: str, **how: Any) -> sg.data.Dataset:
    for c in "ab":
        (root / c).mkdir(parents=True)
        image.save(root / c / name, **how)
    return sg.load(f"folder:{root}")


@pytest.mark.parametrize(
    "values, name",
    [
        (RAMP * 255, "a.png"),
        (RAMP * 65535, "deep.png"),
        (RAMP * 65535, "deep.tif"),
        (RAMP, "float.tif"),
    ],
)
def test_each_mode_is_divided_by_its_own_white(tmp_path: Path, values: np.ndarray, name: str) -> None:
    kind = "uint8" if name == "a.png" else "float32" if name == "float.tif" else "uint16"
    data = folder(tmp_path, Image.fromarray(values.astype(kind)), name)
    assert data.shape == (1, 16, 16)
    assert torch.allclose(data.images[0, 0], torch.tensor(RAMP, dtype=torch.float32), atol=1e-6)
    cut = sg.data.photograph(tmp_path / "a" / name, 8, 8)  # the size is changed in the same range
    assert cut.shape == (1, 1, 8, 8) and abs(float(cut.mean()) - 0.5) < 0.02


def test_a_dark_picture_of_16_bits_stays_dark_and_mixes_with_8_bits(tmp_path: Path) -> None:
    folder(tmp_path, Image.fromarray(np.full((4, 4), 200, np.uint16)), "dark.png")
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "b" / "plain.png")
    data = sg.load(f"folder:{tmp_path}")
    assert torch.allclose(data.images.amax((1, 2, 3)), torch.tensor([200 / 65535, 200 / 65535, 0.2]))


def test_twelve_bits_in_a_tiff(tmp_path: Path) -> None:
    pixels = bytes.fromhex("fff000" * 2)  # two rows of 4095 and 0, twelve bits each
    tags = [(256, 2), (257, 2), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 2), (279, len(pixels))]
    table = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + table + bytes(4) + pixels)
    assert sg.data.photograph(tmp_path / "a.tif").flatten().tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "image, name, words",
    [
        (Image.fromarray(np.full((2, 2), 70000, np.int32)), "a.tif", "its mode is I, integers of 32 bits"),
        (Image.fromarray(np.full((2, 2), 255, np.float32)), "a.tif", "its mode is F and its values range from 255 to 255"),
        (Image.fromarray(np.full((2, 2), np.nan, np.float32)), "a.tif", "its mode is F"),
    ],
)
def test_a_range_that_the_file_does_not_tell_is_refused_by_name(tmp_path: Path, image: Any, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"a/{name} to be a readable image, but {words}"):
        folder(tmp_path, image, name)


def test_transparent_parts_are_white_and_said(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 2, 4))
    with pytest.warns(UserWarning, match="0.png and 1 more: put on white, because parts of it were transparent"):
        data = folder(tmp_path / "x", clear, "0.png")
    assert (data.images[..., :2] == 0).all() and (data.images[..., 2:] == 1).all()
    whole = folder(tmp_path / "y", Image.new("RGBA", (4, 4), (51, 0, 0, 255)), "0.png")
    assert torch.allclose(whole.images[:, 0], torch.tensor(0.2))
    grey = folder(tmp_path / "z", Image.new("LA", (4, 4), (51, 255)), "0.png")
    assert grey.shape == (1, 4, 4) and torch.allclose(grey.images, torch.tensor(0.2))


def test_palettes_and_inks_are_their_colours(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 51, 102, 255])
    for image, name, colour in (
        (palette, "p.png", (0.2, 0.4, 1.0)),
        (Image.new("CMYK", (4, 4), (0, 0, 255, 0)), "k.tif", (1.0, 1.0, 0.0)),
        (Image.new("1", (4, 4), 1), "b.png", (1.0,)),
    ):
        data = folder(tmp_path / name, image, name)
        assert torch.allclose(data.images[0, :, 0, 0], torch.tensor(colour), atol=0.01)


def test_a_picture_held_upright_and_the_first_of_several(tmp_path: Path) -> None:
    ramp = Image.fromarray((RAMP * 255).astype("uint8"))
    exif = ramp.getexif()
    exif[0x0112] = 6  # the camera lay on its side: turn clockwise
    turned = folder(tmp_path / "x", ramp, "0.png", exif=exif).images[0, 0]
    assert torch.allclose(turned, torch.tensor(np.rot90(RAMP, -1).copy(), dtype=torch.float32))
    with pytest.warns(UserWarning, match="the first of its 2 pictures was taken"):
        pages = folder(tmp_path / "y", ramp, "0.tif", save_all=True, append_images=[Image.new("L", (16, 16))])
    assert torch.allclose(pages.images[0, 0], torch.tensor(RAMP, dtype=torch.float32))


def test_class_folders_with_numbers_as_names_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    def made(root: Path, names: list[str]) -> dict[str, int]:
        for i, name in enumerate(names):
            (root / name).mkdir(parents=True)
            Image.new("L", (2, 2), i).save(root / name / "0.png")
        data = sg.load(f"folder:{root}")
        return {data.classes[int(k)]: round(255 * float(v)) for k, v in zip(data.labels, data.images[:, 0, 0, 0], strict=True)}

    names = [str(c) for c in range(12)]
    assert made(tmp_path / "n", names) == {name: i for i, name in enumerate(names)}
    assert sg.load(f"folder:{tmp_path}/n").classes == tuple(names)
    assert sg.load(f"folder:{tmp_path}/n", classes=[*names[::-1]]).classes[0] == "11"  # a list of classes goes before
    assert sg.load(f"folder:{tmp_path}/n", classes=[*names[::-1]]).labels.max() == 11
    made(tmp_path / "w", ["10a", "2", "1"])
    assert sg.load(f"folder:{tmp_path}/w").classes == ("1", "10a", "2")
    (tmp_path / "w" / ".ipynb_checkpoints").mkdir()
    assert len(sg.load(f"folder:{tmp_path}/w").classes) == 3


def test_four_channels_last_are_not_taken_for_an_image_of_four_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 8, 9, 4), np.uint8), labels=np.zeros(3, int))
    with pytest.raises(ValueError, match=r"looks like \[N, H, W, C\] with 4 channels"):
        sg.load(f"npz:{tmp_path}/a.npz")

"""Files that visitors send: photographs, drawings, and everything that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import surrogates as sg
from blackbox.app import upload
from blackbox.app.bench import Bench


def bench(channels=3, side=32, fill=0.5):
    images = torch.full((2, channels, side, side), fill)
    return Bench(sg.Dataset(images, torch.tensor([0, 1]), ("a", "b"), "toy"), {}, {})


def save(tmp_path: Path, name: str, image: Image.Image, **how) -> Path:
    image.save(tmp_path / name, **how)
    return tmp_path / name


def colour(wide=32, high=32):
    array = np.zeros((high, wide, 3), np.uint8)
    array[..., 0], array[..., 1] = 200, np.linspace(0, 255, wide)[None]
    return Image.fromarray(array)


def test_an_image_of_the_right_size_comes_through_to_the_bit(tmp_path):
    made = upload.opened(save(tmp_path, "a.png", colour()), bench())
    assert (made.image.shape, made.label, made.notice, made.name) == ((3, 32, 32), None, "", "a.png")
    assert (made.image == torch.from_numpy(np.asarray(colour()) / np.float32(255)).permute(2, 0, 1)).all()


def test_another_size_is_resized_and_said(tmp_path):
    made = upload.opened(save(tmp_path, "wide.jpg", colour(640, 480)), bench())
    assert (
        made.image.shape == (3, 32, 32)
        and "Resized from 640×480 to the models' 32×32 pixels, the middle" in made.notice
    )
    same = upload.opened(save(tmp_path, "big.png", Image.new("RGB", (64, 64), (51, 0, 0))), bench())
    assert torch.allclose(same.image[0], torch.tensor(0.2)) and "middle" not in same.notice
    photo = upload.opened(save(tmp_path, "p.png", colour(448, 448)), bench(3, 224))
    assert photo.image.shape == (3, 224, 224) and "the middle of it" in photo.notice


def test_alpha_is_put_on_white(tmp_path):
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 16, 32))
    made = upload.opened(save(tmp_path, "a.png", clear), bench())
    assert "transparent" in made.notice
    assert (made.image[:, :, :16] == 0).all() and (made.image[:, :, 16:] == 1).all()
    whole = upload.opened(save(tmp_path, "b.png", Image.new("RGBA", (32, 32), (9, 9, 9, 255))), bench())
    assert whole.notice == ""


def test_ink_on_paper_is_inverted_for_models_of_light_strokes(tmp_path):
    paper = Image.new("L", (8, 8), 255)
    paper.paste(0, (3, 1, 5, 7))
    made = upload.opened(save(tmp_path, "one.png", paper), bench(1, 8, 0.3))
    assert made.image.shape == (1, 8, 8) and "Inverted" in made.notice
    assert made.image[0, 3, 3] == 1 and made.image[0, 0, 0] == 0
    light = upload.opened(save(tmp_path, "two.png", Image.eval(paper, lambda v: 255 - v)), bench(1, 8, 0.3))
    assert light.notice == "" and (light.image == made.image).all()


@pytest.mark.parametrize(
    "mode, name, value, seen",
    [
        ("CMYK", "c.jpg", (0, 0, 0, 0), 1.0),
        ("P", "p.png", 0, 0.0),
        ("1", "b.png", 1, 1.0),
        ("I;16", "d.png", 32768, 0.5),
    ],
)
def test_other_modes(tmp_path, mode, name, value, seen):
    image = Image.new(mode, (32, 32), value)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    made = upload.opened(save(tmp_path, name, image), bench())
    assert torch.allclose(made.image, torch.tensor(seen), atol=0.01)


def test_of_several_pictures_the_first(tmp_path):
    frames = [Image.new("RGB", (32, 32), c) for c in ("white", "black")]
    made = upload.opened(save(tmp_path, "a.gif", frames[0], save_all=True, append_images=frames[1:]), bench())
    assert "The first of its 2 pictures" in made.notice and (made.image == 1).all()


def test_a_photograph_held_upright_stays_upright(tmp_path):
    image = colour(32, 32)
    exif = image.getexif()
    exif[0x0112] = 3  # taken upside down
    made = upload.opened(save(tmp_path, "a.png", image, exif=exif), bench())
    assert (made.image == torch.from_numpy(np.asarray(image.rotate(180)) / np.float32(255)).permute(2, 0, 1)).all()


def test_files_that_are_no_image(tmp_path):
    (tmp_path / "a.png").write_text("not at all")
    (tmp_path / "empty.png").touch()
    whole = save(tmp_path, "w.png", colour(300, 300)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, word in (
        ("a.png", "none that Pillow"),
        ("empty.png", "none that Pillow"),
        ("cut.png", "damaged or cut off"),
    ):
        with pytest.raises(ValueError, match=f"Expected .*{name}.*{word}.*The image in hand was kept"):
            upload.opened(tmp_path / name, bench())
    with pytest.raises(ValueError, match="is not there any more"):
        upload.opened(tmp_path / "gone.png", bench())


@pytest.mark.parametrize("side, text", [(10_000, "10000×10000, 100 megapixels"), (14_000, "far more")])
def test_100_megapixels_and_a_bomb_are_refused_before_they_are_decoded(tmp_path, side, text):
    path = save(tmp_path, "huge.png", Image.new("1", (side, side)))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=f"at most 64 megapixels, but huge.png .*{text}.*in hand was kept"):
        upload.opened(path, bench())


def test_models_that_take_no_pictures(tmp_path):
    with pytest.raises(ValueError, match="these take 5 channels"):
        upload.opened(save(tmp_path, "a.png", colour()), bench(5))

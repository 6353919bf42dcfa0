"""A file from a visitor -> an image that the models take, with a sentence on what was done to it; or a clear refusal."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from blackbox.app.bench import Bench, Shot

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000  # decoded this is 200 MB; what a telephone takes at its largest is 50 million
_BLEED = 1 / 16  # of each side of a photograph is cut off, as nets of 224 pixels are evaluated (256 to 224)
_FINE = 100  # from so many pixels a side on


def opened(path: str | Path, bench: Bench) -> Shot:
    """Read an image file and bring it to the size and colours of the bench's images.

    Raises:
        ValueError: no file, no image, too large, or models that take no pictures; says which and what to do.
    """
    where = Path(path)
    channels, high, wide = bench.data.shape
    if channels not in (1, 3):
        raise ValueError(f"Expected models of grey or colour images for an upload, but these take {channels} channels.")
    image, notices = _flat(_read(where))
    size = image.size
    if channels == 1 and image.mode != "L":
        image = image.convert("L")
        notices.append("made grey")
    elif channels == 3:
        image = image.convert("RGB")
    if size != (wide, high):
        image = _fit(image, wide, high)
        notices.append(f"resized from {size[0]}×{size[1]} to the models' {wide}×{high} pixels{_lost(size, wide, high)}")
    array = np.asarray(image, dtype=np.float32) / np.float32(255)
    if channels == 1 and _edge(array) > 0.5 and float(bench.data.images.mean()) < 0.5:
        array = 1 - array
        notices.append("inverted, because these models know light strokes on a dark ground")
    made = torch.from_numpy(np.ascontiguousarray(array if channels == 1 else array.transpose(2, 0, 1)))
    told = "; ".join(notices)
    return Shot(
        made[None] if channels == 1 else made, None, where.name, -1, told[:1].upper() + told[1:] + "." if told else ""
    )


def _read(path: Path) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its limit is not ours
            image = Image.open(path)
            if image.width * image.height > MOST_PIXELS:
                raise _large(path, image.width, image.height)
            image.load()
            return image
    except Image.DecompressionBombError:
        raise ValueError(
            f"Expected an image of at most {MOST_PIXELS / 1e6:.0f} megapixels, but {path.name} has far more. Make it smaller first; the "
            "image in hand was kept."
        ) from None
    except FileNotFoundError:
        raise ValueError(f"Expected an image file, but {path.name} is not there any more. Choose it again.") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"Expected an image (PNG, JPEG, WebP …), but {path.name} is none that Pillow can read. The image in hand was kept."
        ) from None
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(
            f"Expected a whole image, but {path.name} is damaged or cut off ({error}). The image in hand was kept."
        ) from None


def _large(path: Path, wide: int, high: int) -> ValueError:
    return ValueError(
        f"Expected an image of at most {MOST_PIXELS / 1e6:.0f} megapixels, but {path.name} is {wide}×{high}, "
        f"{wide * high / 1e6:.0f} megapixels. Make it smaller first; the image in hand was kept."
    )


def _flat(image: Image) -> tuple[Image, list[str]]:
    """The image in 8 bits without transparency, grey or in colour, read as data sets are (`surrogates.data.pictures`)."""
    from surrogates.data.pictures import picture

    try:
        made = picture(image)
    except ValueError:  # a range that the file does not tell; here, where one looks at it, it may be stretched
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
        low, high = values.min(), values.max()
        return _bytes((values - low) / max(high - low, 1e-12)), [
            f"stretched from {low:g} … {high:g}, because its mode {image.mode} does not say what is white"
        ]
    if made.image.mode == "F":
        return _bytes(np.asarray(made.image)), [f"brought from mode {image.mode} to 8 bits"]
    return made.image, list(made.done)


def _bytes(values: np.ndarray) -> Image:
    from PIL import Image

    return Image.fromarray((255 * values).round().clip(0, 255).astype(np.uint8))


def _fit(image: Image, wide: int, high: int) -> Image:
    from PIL import Image, ImageOps

    bleed = _BLEED if min(wide, high) >= _FINE else 0.0
    return ImageOps.fit(image, (wide, high), Image.Resampling.BILINEAR, bleed=bleed)


def _lost(size: tuple[int, int], wide: int, high: int) -> str:
    if min(wide, high) < _FINE and size[0] * high == size[1] * wide:
        return ""
    return ", the middle of it"


def _edge(array: np.ndarray) -> Any:
    return np.median(np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]]))

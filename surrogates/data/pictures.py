"""Images of every mode and layout as numbers in [0, 1], each scaled by the range of its own mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from PIL.Image import Image

_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_BITS_PER_SAMPLE = 258  # a TIFF tag


class Picture(NamedTuple):
    """A picture held upright, without transparency.

    image: mode RGB or L of 8 bits, or F with floats in [0, 1]. grey: the file has grey levels alone.
    done: what was done that the file's owner may not expect; empty for most.
    """

    image: Image
    grey: bool
    done: tuple[str, ...] = ()


def picture(image: Image) -> Picture:
    """Turn an opened image file into a picture.

    8 bits stay as they are; 12 and 16 bits are divided by their largest value, floats in [0, 1] are taken as they are; a
    picture is turned as its camera says (EXIF), and put on white where it is transparent. Of several pictures in a file the
    first is taken.

    Raises:
        ValueError: a mode whose range the file does not tell (32-bit integers), or floats outside [0, 1]; names the mode.
    """
    from PIL import ImageOps

    frames = int(getattr(image, "n_frames", 1))
    done = (f"the first of its {frames} pictures was taken",) if frames > 1 else ()
    scale = _largest(image)  # before the turn, which drops what the file says of itself
    image.load()
    image = ImageOps.exif_transpose(image)
    if scale is not None:
        return Picture(_floats(image, scale), True, done)
    if image.mode in _ALPHA or "transparency" in image.info:
        grey = image.mode in ("LA", "La", "L", "1")
        image, put = _on_white(image)
        return Picture(image.convert("L") if grey else image, grey, (*done, *put))
    grey = image.mode in ("1", "L")
    return Picture(image if image.mode in ("L", "RGB") else image.convert("L" if grey else "RGB"), grey, done)


def pixels(image: Image) -> np.ndarray:
    """The numbers of a picture's image, [H, W, 3]: uint8, or float32 in [0, 1] for mode F."""
    if image.mode == "F":
        return np.repeat(np.asarray(image, dtype=np.float32).clip(0, 1)[..., None], 3, 2)
    return np.asarray(image.convert("RGB"))


def _largest(image: Image) -> float | None:
    """The value that stands for white in a mode of more than 8 bits; None for modes of 8 bits."""
    if image.mode.startswith("I;16"):
        tags: Any = getattr(image, "tag_v2", {})
        return float(2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return 65535.0  # Pillow's mode for the 16 bits of these formats, in some versions
    if image.mode == "F":
        return 1.0
    if image.mode == "I":
        raise ValueError(
            "its mode is I, integers of 32 bits, and the file does not say which of them is white. Save it with 16 bits, or as "
            "floats in [0, 1]"
        )
    return None


def _floats(image: Image, largest: float) -> Image:
    from PIL import Image as images

    values = np.asarray(image).astype(np.float64) / largest
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"its mode is {image.mode} and its values range from {low * largest:g} to {high * largest:g}, where 0 to {largest:g} can be "
            "read. Scale them before"
        )
    return images.fromarray(values.astype(np.float32))


def _on_white(image: Image) -> tuple[Image, tuple[str, ...]]:
    from PIL import Image as images

    full = image.convert("RGBA")
    if full.getchannel("A").getextrema()[0] == 255:
        return full.convert("RGB"), ()
    ground = images.new("RGBA", full.size, "white")
    return images.alpha_composite(ground, full).convert("RGB"), ("put on white, because parts of it were transparent",)


def as_pixels(raw: np.ndarray, where: str) -> torch.Tensor:
    """Convert uint8 or float arrays in one of the usual layouts to float32 [N, C, H, W]."""
    if raw.dtype == np.uint8:
        raw = raw.astype(np.float32) / np.float32(255)
    elif raw.dtype.kind != "f":
        raise ValueError(
            f"Expected the images in {where} to be uint8 or floats in [0, 1], but their dtype was {raw.dtype}."
        )
    if raw.ndim == 3:
        raw = raw[:, None]
    if raw.ndim == 4 and raw.shape[1] not in (1, 3) and raw.shape[3] in (1, 3):
        raw = raw.transpose(0, 3, 1, 2)
    elif raw.ndim == 4 and raw.shape[3] <= 4 < min(raw.shape[1:3]):
        raise ValueError(
            f"Expected the images in {where} to have shape [N, C, H, W], but {raw.shape} looks like [N, H, W, C] with "
            f"{raw.shape[3]} channels. Leave out an alpha channel, images[..., :3], or move the axis: images.transpose(0, 3, 1, 2)."
        )
    if raw.ndim != 4:
        raise ValueError(
            f"Expected the images in {where} to have shape [N, H, W] or [N, C, H, W], but it was {raw.shape}."
        )
    return torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))

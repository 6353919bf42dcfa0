"""Images -> the body of a request: as a file or as numbers, inside a JSON template, as multipart, or raw."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.targets.rest.settings import Settings

IMAGE, KEY = "$image", "$key"
_ITEM = "\x00the images\x00"
_KINDS = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True)
class Body:
    """What a request carries. headers: its content type. parts: what httpx makes a multipart body of."""

    content: bytes | None
    headers: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)


class Writer:
    """Writes images into requests as `Settings` says.

    Raises:
        ValueError: a template without a place for the image, or without a list for several.
    """

    def __init__(self, settings: Settings) -> None:
        self._s = s = settings
        self._head = self._tail = ""
        self._item: list[str] = []
        self.keyed = s.key_header is not None
        if s.send == "json":
            self._compile(s.body if s.body is not None else {"image": IMAGE})
        elif s.encode == "array":
            raise ValueError(f'Expected send = "json" with encode = "array", but it was {s.send!r}.')
        elif s.send == "raw" and s.body is not None:
            raise ValueError('Expected no body with send = "raw", which is the bytes of the image alone.')
        elif s.send == "multipart" and not _texts(s.body or {}):
            raise ValueError('Expected body to be a table of texts with send = "multipart", whose fields they are.')

    def _compile(self, template: Any) -> None:
        """Split the template's JSON around the images, once: filling it in is then joining texts."""
        inner = _list_around(template)
        if inner is None and self._s.rows_per_request > 1:
            raise ValueError(
                "Expected a list around $image in body, which gets an element for each image, with several "
                f'rows_per_request, such as instances = [{{ image = "$image" }}], but body was {_short(template)}.'
            )
        item = template if inner is None else inner[0]
        text = json.dumps(item, ensure_ascii=False)
        if IMAGE not in text:
            raise ValueError(f"Expected $image somewhere in body, where the image goes, but body was {_short(template)}.")
        self.keyed = self.keyed or KEY in text
        if self._s.encode == "array":
            text = text.replace(f'"{IMAGE}"', IMAGE)
        self._item = _pieces(text)
        if inner is not None:
            self._head, self._tail = json.dumps(_replaced(template, inner), ensure_ascii=False).split(json.dumps(_ITEM))

    def write(self, x: list[np.ndarray], keys: list[str] | None) -> Body:
        """The body for images as `rows` makes them, with the key of each."""
        s = self._s
        if s.send == "json":
            items = [self._filled(image, keys[i] if keys else "") for i, image in enumerate(x)]
            return Body((self._head + ", ".join(items) + self._tail).encode(), {"Content-Type": "application/json"})
        files = [self.file(image) for image in x]
        if s.send == "raw":
            return Body(files[0], {"Content-Type": _KINDS[s.encode]})
        name = f"image.{s.encode}"
        form = {k: v.replace(KEY, keys[0] if keys else "") for k, v in (s.body or {}).items()}
        return Body(None, {}, {"files": [(s.field, (name, f, _KINDS[s.encode])) for f in files], "data": form})

    def _filled(self, image: np.ndarray, key: str) -> str:
        if self._s.encode == "array":
            shown = json.dumps(image.tolist(), separators=(",", ":"))
        else:
            shown = base64.b64encode(self.file(image)).decode("ascii")
        return "".join(shown if piece == IMAGE else key if piece == KEY else piece for piece in self._item)

    def file(self, image: np.ndarray) -> bytes:
        """An image [H, W] or [H, W, C] of bytes as a file."""
        from PIL import Image

        out = io.BytesIO()
        made = Image.fromarray(image)
        if self._s.encode == "png":
            made.save(out, "PNG", compress_level=1)
        else:
            made.save(out, "JPEG", quality=self._s.quality, subsampling=0)
        return out.getvalue()

    def rows(self, x: Tensor) -> list[np.ndarray]:
        """Images [m, \\*shape] in [0, 1], each as the array that is sent.

        Raises:
            ValueError: they cannot be files of this kind.
        """
        s = self._s
        if s.encode != "array" and (x.ndim != 4 or x.shape[1] not in (1, 3)):
            raise ValueError(
                f"Expected images of 1 or 3 channels, height and width for {s.encode.upper()}, but they were "
                f'{"×".join(map(str, x.shape[1:]))}. Numbers of any shape are sent with encode = "array".'
            )
        if s.eight_bit:
            array = (x * 255).round().byte().numpy(force=True)
        elif s.top_value == 255:
            array = (x * 255).numpy(force=True)
        else:
            array = x.numpy(force=True)
        if x.ndim == 4 and (s.encode != "array" or s.layout == "hwc"):
            array = array.transpose(0, 2, 3, 1)
        if s.encode != "array" and x.shape[1] == 1:
            array = array[..., 0]
        return list(np.ascontiguousarray(array))

    def example(self) -> str:
        """The template with an image left out, for error messages."""
        s = self._s
        if s.send == "json":
            return (self._head + "".join(self._item) + self._tail)[:200]
        return f"a file image.{s.encode} in the field {s.field!r}" if s.send == "multipart" else f"the bytes of a {s.encode.upper()} file"


def _pieces(text: str) -> list[str]:
    """``text`` cut around every $image and $key."""
    out = []
    for i, part in enumerate(text.split(IMAGE)):
        out += [IMAGE] if i else []
        for j, rest in enumerate(part.split(KEY)):
            out += ([KEY] if j else []) + ([rest] if rest else [])
    return out


def _list_around(value: Any) -> list[Any] | None:
    """The innermost list, of one element, that holds the place of the image."""
    if isinstance(value, dict):
        return next((found for each in value.values() if (found := _list_around(each)) is not None), None)
    if not isinstance(value, list) or IMAGE not in json.dumps(value, ensure_ascii=False):
        return None
    inner = next((found for each in value if (found := _list_around(each)) is not None), None)
    return inner if inner is not None else value if len(value) == 1 else None


def _replaced(value: Any, inner: list[Any]) -> Any:
    """The template with the element of ``inner`` replaced by a mark."""
    if value is inner:
        return [_ITEM]
    if isinstance(value, dict):
        return {key: _replaced(each, inner) for key, each in value.items()}
    return [_replaced(each, inner) for each in value] if isinstance(value, list) else value


def _texts(body: Any) -> bool:
    return isinstance(body, dict) and all(isinstance(v, str) for v in body.values())


def _short(template: Any) -> str:
    text = json.dumps(template, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:120]} …"

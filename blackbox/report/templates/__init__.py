"""Templates of pages, and what renders them (jinja2, which escapes what it is given)."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any


def data_url(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them: ``data:image/png;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@lru_cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("blackbox.report", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.globals["data_url"] = data_url
    return made


def render(name: str, **values: Any) -> str:
    """The template ``name`` of this folder, filled with ``values``."""
    return str(_environment().get_template(name).render(**values))

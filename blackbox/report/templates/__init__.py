"""Templates of pages, and what renders them (jinja2, which escapes what it is given)."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any


def data_url(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them: ``data:image/png;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@lru_cache
def _environment(package: str) -> Any:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(name, "templates") for name in dict.fromkeys((package, "blackbox.report"))])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.globals["data_url"] = data_url
    return made


def render(template: str, package: str = "blackbox.report", **values: Any) -> str:
    """A template of a package's folder ``templates``, or else of this one, filled with ``values``."""
    return str(_environment(package).get_template(template).render(**values))

"""The directive ``results``: a section of experiments/RESULTS.md, which the experiments' own program writes, on a page.

    ```{results} Queries: search
    ```
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

TABLES = Path(__file__).resolve().parents[2] / "experiments" / "RESULTS.md"


def section(title: str) -> str | None:
    """What stands under ``## title``, deeper headings as bold lines; None where there is no such section."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", TABLES.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return re.sub(r"^###+ (.*)$", r"**\1**", found[1].strip(), flags=re.MULTILINE) if found else None


class Results(SphinxDirective):
    has_content = False
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TABLES))
        text = section(self.arguments[0])
        if text is None:
            where = (self.env.docname, self.lineno)
            logging.getLogger(__name__).warning("RESULTS.md has no section %r", self.arguments[0], location=where)
            return []
        box = nodes.container(classes=["results"])
        self.state.nested_parse(StringList(text.splitlines(), source=str(TABLES)), self.content_offset, box)
        return [box]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("results", Results)
    return {"parallel_read_safe": True}

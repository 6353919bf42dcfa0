"""A page of text, tables and pictures, written as Markdown and as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b2a3a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
pre { background: #f6f4ef; padding: .8rem 1rem; overflow-x: auto; font-size: .8rem; line-height: 1.45; border-radius: 4px; }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e6e8eb; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 2px solid #7a8794; }
img { max-width: 100%; height: auto; }
"""


@dataclass
class Page:
    """Blocks in order; `write` makes report.md and report.html of them."""

    title: str
    blocks: list[tuple[str, Any]] = field(default_factory=list)

    def head(self, text: str) -> None:
        """A heading."""
        self.blocks.append(("head", text))

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append(("text", text))

    def pre(self, text: str) -> None:
        """Lines as they are."""
        self.blocks.append(("pre", text))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; the first column holds names."""
        self.blocks.append(("table", ([*head], [[*row] for row in rows])))

    def picture(self, title: str, path: Path) -> None:
        """A PNG that lies beside the page."""
        self.blocks.append(("picture", (title, path)))

    def write(self, folder: Path) -> None:
        """Write report.md and report.html into ``folder``."""
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")
        (folder / "report.html").write_text(self.html(), encoding="utf-8")

    def markdown(self) -> str:
        """The page as Markdown; pictures by their file names."""
        out = [f"# {self.title}"]
        for kind, content in self.blocks:
            if kind == "head":
                out.append(f"## {content}")
            elif kind == "pre":
                out.append(f"```\n{content}\n```")
            elif kind == "picture":
                title, path = content
                out.append(f"![{title}]({path.name})")
            elif kind == "table":
                head, rows = content
                marks = [":--", *["--:"] * (len(head) - 1)]
                out.append("\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in [head, marks, *rows]))
            else:
                out.append(str(content))
        return "\n\n".join(out) + "\n"

    def html(self) -> str:
        """The page as one HTML file; pictures inside."""
        out = []
        for kind, content in self.blocks:
            if kind == "head":
                out.append(f"<h2>{html.escape(str(content))}</h2>")
            elif kind == "pre":
                out.append(f"<pre>{html.escape(str(content))}</pre>")
            elif kind == "picture":
                title, path = content
                data = base64.b64encode(path.read_bytes()).decode()
                out.append(f'<p><img alt="{html.escape(title)}" src="data:image/png;base64,{data}"></p>')
            elif kind == "table":
                head, rows = content
                top = "".join(f"<th>{html.escape(c)}</th>" for c in head)
                body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
                out.append(f"<table><tr>{top}</tr>{body}</table>")
            else:
                out.append(f"<p>{html.escape(str(content))}</p>")
        title = html.escape(self.title)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n" + "\n".join(out) + "\n</body></html>\n"
        )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

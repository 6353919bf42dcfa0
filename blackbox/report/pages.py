"""A page of text, tables, pictures and galleries, written as Markdown and as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.report.css import CSS

if TYPE_CHECKING:
    from blackbox.report.gallery import Gallery
    from blackbox.statistics import Estimate, Rate

    Cell = str | Rate | Estimate

_WRAP = 26  # characters that a column of names may have in one line
_KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}


@dataclass
class Page:
    """Blocks in order; `write` makes report.md and report.html of them.

    lead: a sentence under the title. nav: a line of links to the headings. foot: a line at the end.
    """

    title: str
    blocks: list[tuple[str, Any]] = field(default_factory=list)
    lead: str = ""
    nav: bool = False
    foot: str = ""

    def head(self, text: str, level: int = 2) -> None:
        """A heading; of level 3 below one of level 2."""
        self.blocks.append(("head", (text, level)))

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append(("text", text))

    def note(self, lines: Sequence[str]) -> None:
        """Sentences that must not be overlooked."""
        self.blocks.append(("note", [*lines]))

    def pre(self, text: str) -> None:
        """Lines as they are."""
        self.blocks.append(("pre", text))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "", left: int = 1) -> None:
        """A table; the first ``left`` columns hold names. A `Rate` is shown with its interval, its count, and a bar, an
        `Estimate` with its interval."""
        self.blocks.append(("table", ([*head], [[*row] for row in rows], caption, left)))

    def picture(self, title: str, path: Path, caption: str = "") -> None:
        """A picture (PNG, SVG) that lies beside the page."""
        self.blocks.append(("picture", (title, path, caption)))

    def gallery(self, shown: Gallery, path: Path) -> None:
        """Images with a line under each; ``path``: the one picture of them that Markdown shows, without suffix."""
        self.blocks.append(("gallery", (shown, path)))

    def write(self, folder: Path) -> None:
        """Write report.md and report.html, and the pictures of galleries, into ``folder``."""
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")
        (folder / "report.html").write_text(self.html(), encoding="utf-8")

    def markdown(self) -> str:
        """The page as Markdown; pictures by their file names."""
        out = [f"# {self.title}", *([self.lead] if self.lead else [])]
        for kind, content in self.blocks:
            if kind == "head":
                text, level = content
                out.append(f"{'#' * level} {text}")
            elif kind == "pre":
                out.append(f"```\n{content}\n```")
            elif kind == "note":
                out.append("\n>\n".join(f"> {line}" for line in content))
            elif kind == "picture":
                title, path, caption = content
                out += [f"![{title}]({path.name})", *([caption] if caption else [])]
            elif kind == "gallery":
                shown, path = content
                out += [f"![{shown.title}]({shown.sheet(path).name})", shown.caption, _lines(*shown.table())]
            elif kind == "table":
                head, rows, caption, left = content
                out += [*([caption] if caption else []), _lines(head, rows, left)]
            else:
                out.append(str(content))
        return "\n\n".join([*out, *([self.foot] if self.foot else [])]) + "\n"

    def html(self) -> str:
        """The page as one HTML file; pictures inside."""
        heads = [content for kind, content in self.blocks if kind == "head"]
        links = [f'<a href="#{i + 1}">{html.escape(text)}</a>' for i, (text, level) in enumerate(heads) if level == 2]
        out = [f'<p class="lead">{html.escape(self.lead)}</p>'] if self.lead else []
        out += [f"<nav>{' '.join(links)}</nav>"] if self.nav and len(links) > 2 else []
        count = 0
        for kind, content in self.blocks:
            if kind == "head":
                (text, level), count = content, count + 1
                out.append(f'<h{level} id="{count}">{html.escape(text)}</h{level}>')
            elif kind == "pre":
                out.append(f"<pre>{html.escape(str(content))}</pre>")
            elif kind == "note":
                out.append('<div class="note">' + "".join(f"<p>{html.escape(line)}</p>" for line in content) + "</div>")
            elif kind == "picture":
                title, path, caption = content
                data = base64.b64encode(path.read_bytes()).decode()
                under = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
                source = f"data:{_KINDS[path.suffix]};base64,{data}"
                out.append(f'<figure><img alt="{html.escape(title)}" src="{source}">{under}</figure>')
            elif kind == "gallery":
                out.append(content[0].html())
            elif kind == "table":
                out.append(_table(*content))
            else:
                out.append(f"<p>{html.escape(str(content))}</p>")
        title, foot = html.escape(self.title), f"<footer>{html.escape(self.foot)}</footer>" if self.foot else ""
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
            f"<style>{CSS}</style></head>\n<body><h1>{title}</h1>\n" + "\n".join(out) + f"\n{foot}</body></html>\n"
        )


def _lines(head: Sequence[str], rows: Sequence[Sequence[Cell]], left: int = 1) -> str:
    """A table in Markdown."""
    marks = [":--" if i < left else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in [head, marks, *rows])


def _cell(content: Cell) -> str:
    """Rates as text; a bar or a line's end would end the cell."""
    return str(content).replace("|", "\\|").replace("\n", " ")


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str, left: int) -> str:
    """A table in HTML; its head is repeated on each sheet of paper."""
    wide = [any(len(str(row[i])) > _WRAP for row in rows) for i in range(left)]  # columns whose text may be broken

    def line(cells: Sequence[Cell], tag: str) -> str:
        out = []
        for i, content in enumerate(cells):
            kind = f' class="l{" w" if wide[i] else ""}"' if i < left else ""
            out.append(f"<{tag}{kind}>{_inside(content)}</{tag}>")
        return f"<tr>{''.join(out)}</tr>"

    over = f'<p class="cap">{html.escape(caption)}</p>' if caption else ""
    body = "".join(line(row, "td") for row in rows)
    return f'{over}<div class="scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def _inside(content: Cell) -> str:
    if isinstance(content, str):
        return html.escape(content)
    if hasattr(content, "k"):
        return _rate(content)  # type: ignore[arg-type]
    if not content.n:
        return "–"
    return f'{content.value:,.1f}<br><span class="of">[{content.low:,.1f}, {content.high:,.1f}]</span>'


def _rate(rate: Rate) -> str:
    """A rate with its interval and count, over a bar from 0 to 100 % that shows the same."""
    if not rate.n:
        return '– <span class="of">(n = 0)</span>'
    wide, high = 110, 7
    at, low, top = (wide * share for share in (rate.value, rate.low, rate.high))
    return (
        f'{100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}] <span class="of">{rate.k}/{rate.n}</span>'
        f'<svg class="bar" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" aria-hidden="true">'
        f'<rect width="{wide}" height="{high}" fill="#eceef0"/><rect width="{at:.1f}" height="{high}" fill="#d59aa1"/>'
        f'<path d="M{low:.1f} 3.5H{top:.1f}M{low:.1f} 1V6M{top:.1f} 1V6" stroke="#5a1846" stroke-width="1.2"/></svg>'
    )

"""A page of text, tables, pictures and galleries, written as Markdown and as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from blackbox.report.style import DPI
from blackbox.report.templates import data_url, render
from blackbox.results.words import of_inputs

if TYPE_CHECKING:
    from blackbox.report.gallery import Gallery
    from blackbox.statistics import Estimate, Rate

    Cell = str | Rate | Estimate

_WRAP = 26  # characters that a column of names may have in one line
_STACK = 3  # columns that a narrow screen has room for; of more, each row becomes a card
_MANY = 8  # columns that a wide screen has room for without breaking what stands in them
_KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3. number: its anchor."""

    kind: ClassVar[str] = "heading"
    text: str
    level: int
    number: int

    def markdown(self) -> str:
        return f"{'#' * self.level} {self.text}"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str

    def markdown(self) -> str:
        return self.text


@dataclass(frozen=True)
class Note:
    """A warning."""

    kind: ClassVar[str] = "note"
    lines: Sequence[str]

    def markdown(self) -> str:
        return "\n>\n".join(f"> {line}" for line in self.lines)


@dataclass(frozen=True)
class Verbatim:
    """Lines as they are. title: folded below it."""

    kind: ClassVar[str] = "verbatim"
    text: str
    title: str = ""

    def markdown(self) -> str:
        return (f"{self.title}:\n\n" if self.title else "") + f"```\n{self.text}\n```"


@dataclass(frozen=True)
class Links:
    """A line of links to pages beside this one: (text, the page's path without suffix)."""

    kind: ClassVar[str] = "links"
    to: Sequence[tuple[str, str]]

    def markdown(self) -> str:
        return " · ".join(f"[{text}]({path}.md)" for text, path in self.to)


@dataclass(frozen=True)
class Picture:
    """A picture (PNG, SVG, JPEG) that lies beside the page, or in the folder ``inside`` there."""

    kind: ClassVar[str] = "picture"
    title: str
    path: Path
    caption: str
    inside: str = ""

    def markdown(self) -> str:
        where = Path(self.inside, self.path.name).as_posix()
        return f"![{self.title}]({where})" + (f"\n\n{self.caption}" if self.caption else "")

    def source(self) -> str:
        return data_url(self.path.read_bytes(), _KINDS[self.path.suffix])

    @property
    def width(self) -> int | None:
        """Of a PNG in CSS pixels, so that its letters are as large as those of an SVG; None to leave it to the file."""
        return round(int.from_bytes(self.path.read_bytes()[16:20], "big") * 96 / DPI) if self.path.suffix == ".png" else None


@dataclass(frozen=True)
class Table:
    """A table whose first ``left`` columns hold names."""

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    left: int = 1

    @property
    def wide(self) -> set[int]:
        """Columns of names whose text may be broken."""
        return {i for i in range(self.left) if any(len(str(row[i])) > _WRAP for row in self.rows)}

    @property
    def stacked(self) -> bool:
        """Is each row a card on a narrow screen?"""
        return len(self.head) > _STACK

    @property
    def many(self) -> bool:
        """Are its columns so many that their text is broken even on a wide screen?"""
        return len(self.head) > _MANY

    def markdown(self) -> str:
        marks = [":--" if i < self.left else "--:" for i in range(len(self.head))]
        lines = ["| " + " | ".join(_cell(c) for c in line) + " |" for line in [self.head, marks, *self.rows]]
        return "\n\n".join([*([self.caption] if self.caption else []), "\n".join(lines)])


@dataclass(frozen=True)
class Images:
    """Images with a line under each; ``path``: the one picture of them that Markdown shows, without suffix."""

    kind: ClassVar[str] = "gallery"
    gallery: Gallery
    path: Path

    def markdown(self) -> str:
        sheet, (head, rows) = self.gallery.sheet(self.path).name, self.gallery.table()
        return f"![{self.gallery.title}]({sheet})\n\n{self.gallery.caption}\n\n{Table(head, rows).markdown()}"


@dataclass
class Page:
    """Blocks in order; `write` makes report.md and report.html of them.

    first: what a reader must know before any number. headline: the answer, in a sentence or a few. lead: a sentence below them.
    nav: a line of links to the headings. foot: a line at the end. kind: what its inputs are called; sentences and headings are written
    for images, and are put on the page for rows of tables, or for inputs of several kinds. What stands in a table's cells stays.
    """

    title: str
    blocks: list[Any] = field(default_factory=list)
    first: Sequence[str] = ()
    headline: Sequence[str] = ()
    lead: str = ""
    nav: bool = False
    foot: str = ""
    kind: str = "image"

    def of_inputs(self, text: str) -> str:
        """A text about images, about what the inputs of this page are."""
        return of_inputs(text, self.kind)

    def head(self, text: str, level: int = 2) -> None:
        """A heading; of level 3 below one of level 2."""
        self.blocks.append(Heading(self.of_inputs(text), level, 1 + sum(isinstance(block, Heading) for block in self.blocks)))

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append(Text(self.of_inputs(text)))

    def note(self, lines: Sequence[str]) -> None:
        """A warning of one or more sentences."""
        self.blocks.append(Note([*map(self.of_inputs, lines)]))

    def links(self, to: Sequence[tuple[str, str]]) -> None:
        """A line of links to pages beside this one: (text, the page's path without suffix)."""
        self.blocks.append(Links([*to]))

    def pre(self, text: str, title: str = "") -> None:
        """Lines as they are; folded below ``title`` where there is one."""
        self.blocks.append(Verbatim(text, title))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "", left: int = 1) -> None:
        """A table; the first ``left`` columns hold names. A `Rate` is shown with its interval, its count, and a bar, an
        `Estimate` with its interval."""
        self.blocks.append(Table([*map(self.of_inputs, head)], [[*row] for row in rows], self.of_inputs(caption), left))

    def picture(self, title: str, path: Path, caption: str = "", inside: str = "") -> None:
        """A picture (PNG, SVG) that lies beside the page, or in the folder ``inside`` there."""
        self.blocks.append(Picture(title, path, self.of_inputs(caption), inside))

    def gallery(self, shown: Gallery, path: Path) -> None:
        """Images with a line under each; ``path``: the one picture of them that Markdown shows, without suffix."""
        self.blocks.append(Images(shown, path))

    def headings(self, level: int) -> list[tuple[int, str]]:
        """(anchor, text) of the headings of a level."""
        return [(b.number, b.text) for b in self.blocks if isinstance(b, Heading) and b.level == level]

    def write(self, folder: Path, name: str = "report") -> None:
        """Write report.md and report.html, and the pictures of galleries, into ``folder``."""
        (folder / f"{name}.md").write_text(self.markdown(), encoding="utf-8")
        (folder / f"{name}.html").write_text(self.html(), encoding="utf-8")

    def markdown(self) -> str:
        """The page as Markdown; pictures by their file names."""
        told = [Note(self.first).markdown()] if self.first else []
        answer = [f"**{text}**" for text in self.headline]
        parts = [f"# {self.title}", *told, *answer, self.lead, *(block.markdown() for block in self.blocks), self.foot]
        return "\n\n".join(part for part in parts if part) + "\n"

    def html(self) -> str:
        """The page as one HTML file; pictures inside."""
        return render("page.html", page=self)


def _cell(content: Cell) -> str:
    """Rates as text; a bar or a line's end would end the cell."""
    return str(content).replace("|", "\\|").replace("\n", " ")

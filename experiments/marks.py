"""Marks in README and docs around what was measured, and the numbers that stand outside of them.

    DenseNet: <!-- m: mean ground densenet square -->112 [98, 128] (n = 206)<!-- /m --> queries

A mark names a function of ``experiments/published.py`` and its words; ``python -m experiments.tables`` writes what the function
makes of committed rows between the mark's ends. ``<!-- cited: Papernot et al. 2017 -->84 %<!-- /m -->`` is a paper's own figure.
`unmarked` finds what is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

MARK = re.compile(r"<!-- (m|cited): (.*?) -->(.*?)<!-- /m -->", re.DOTALL)
ENDS = re.compile(r"<!-- (?:(?:m|cited):.*?|/m) -->", re.DOTALL)
FIRST = re.compile(r"(?:^|\n)[ >*-]*\Z")  # what stands before a mark that begins a line
FENCE = re.compile(r"^(?P<fence>```+|~~~+)[ ]*(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
SKIPPED = re.compile(rf"{FENCE.pattern}|`[^`\n]+`", FENCE.flags)  # no mark stands here
CODE = ("sh", "python", "console", "toml", "{results}", "{toctree}", "{code-cell}", "{code-block}", "{eval-rst}")  # no claim stands here
PRINTED = ("text", "json", "yaml", "")  # on other pages than results, where tests compare or nothing is claimed

# What is no measurement, and why; each is blanked out before numbers are looked for.
ALLOWED = {
    "a name: ResNet-20, L2, uint8": r"(?<![\w.-])[A-Za-z]+(?:-[A-Za-z]+)*-?\d+(?:[-_]\w+|[A-Za-z_]\w*)*(?![\w]|\.\d)",
    "a radius": r"(?<![\w.])\d+/255(?!\w)|(?:\b(?:Linf|L2|L1|L0|eps|epsilon|radius)|ε)(?: of| =)? \d+(?:\.\d+)?(?![\w./]*\d)",
    "a budget": r"\bbudgets?(?: of)? \d[\d,]*(?: queries)?(?!\w)",
    "a size of images": r"(?<![\w.])\d+ ?× ?\d+(?! ?\w*er)",
    "a level of confidence": r"(?<![\w.])95 %(?= (?:Wilson|bootstrap|intervals?|bands?|confidence)\b)",
    "a level of a test": r"\bat 5 %",
    "a made-up example of the lesson": r"drops from 90 % success to\s+10 %",
    "a range of pixels": r"\[0, 1\]|(?<![\w.])8 bits\b",
    "a paper's year": r"(?:et al\.|\b[A-Z][\w’'-]+),? \(?(?:19|20)\d\d\b|\barXiv:\d{4}\.\d{4,5}",
    "a place in a paper": r"\b(?:table|section|figure|algorithm|eq\.|part) \d+(?:\.\d+)*",
    "a number in a list": r"(?m)^\s*\d+\. ",
    "a version": r"\bPython \d+\.\d+",
    "the size of a download": r"\(\d GB\)",
}
WORDS = (
    r"\b(?:one|two|three|a|by) (?:half|third|quarter|fifth|tenth)s?\b|\bdozens?\b|\btwice\b|\b(?:tens|hundreds?|thousands) of\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|twenty) times\b|\bper cent\b|±"
)
CLAIMS = (  # of any page: what sounds like a measurement
    r"\d[\d,.]*\s?%|(?<![\w.])\d[\d,.]* (?:mean )?queries (?:an|each|on|where|instead)\b|\btimes (?:faster|slower|fewer)\b"
    r"|\bfool\w* \d|\(\d+/\d+\)|\d \[\d[\d.,]*, \d[\d.,]*\]"
)


def marks(text: str) -> Iterator[tuple[str, str, str]]:
    """(kind, words, what stands inside) of each mark.

    Raises:
        ValueError: a mark that is not closed, or closed without having begun.
    """
    text = SKIPPED.sub("", text)
    found = list(MARK.finditer(text))
    if 2 * len(found) != len(ENDS.findall(text)):
        raise ValueError("Expected each <!-- m: … --> to be closed by <!-- /m --> before another begins, but one is not.")
    for mark in found:
        if FIRST.search(text[: mark.start()]) and not mark[3].startswith("\n"):  # Markdown takes the whole line as HTML
            raise ValueError(f"Expected a word before the mark {mark[2]!r}, but it begins its line. Move a word there.")
    yield from ((mark[1], mark[2].strip(), mark[3]) for mark in found)


def rewritten(text: str, made: Callable[[str], str]) -> str:
    """The text with what ``made`` gives for the words of each mark ``m`` inside of it; code stays as it is.

    Raises:
        ValueError: a figure holds a backtick: what stands between two would be taken for code by the next run, and never change again.
    """

    def one(mark: re.Match[str]) -> str:
        inside = made(mark[2].strip()) if mark[1] == "m" else mark[3]
        if "`" in inside:
            raise ValueError(f"Expected no backticks inside of a mark, but what {mark[2]!r} gives has some. Leave them out of its figure.")
        return f"<!-- {mark[1]}: {mark[2]} -->{inside}<!-- /m -->"

    parts, end = [], 0
    for fence in SKIPPED.finditer(text):
        parts += [MARK.sub(one, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, MARK.sub(one, text[end:])])


def prose(text: str, printed: bool) -> str:
    """The text without marks, code, addresses, directives' options and comments; as many lines as before.

    printed: leave out blocks of printed output too.
    """

    def blank(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n")

    def fence(found: re.Match[str]) -> str:
        kind = found["kind"].split()[0] if found["kind"].split() else ""
        return blank(found) if kind in CODE or (printed and kind in PRINTED) else found[0].replace("`", " ")

    text = MARK.sub(blank, FENCE.sub(fence, text))
    for pattern in (r"(?s)\A---\n.*?^---$", r"(?s)<!--.*?-->", r"(?m)^%.*$", r"(?m)^ *:[\w-]+:.*$", r"(?m)^ *:{3,}.*$", r"(?s)``.+?``",
                    r"`[^`\n]*(?:\n[^`\n]+)?`",
                    r"(?<=\])\([^)\n]*\)", r"https?://\S+", r"(?m)^\[[^\]]+\]: .*$"):  # fmt: skip
        text = re.sub(pattern, blank, text, flags=re.MULTILINE)
    return text


def unmarked(text: str, strict: bool) -> list[str]:
    """``line 7: 12.4``: numbers that stand outside of marks.

    strict: any number, and words such as *twice*, that `ALLOWED` does not know; else what sounds like a measurement.
    """
    if not strict and not re.search(CLAIMS, text):
        return []
    plain = prose(text, printed=not strict)
    for pattern in ALLOWED.values():
        plain = re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found[0]), plain)
    looked = rf"{WORDS}|(?<![\w])[\d][\d,.]*(?:\s?%)?|\d+" if strict else CLAIMS
    return [
        f"line {plain.count(chr(10), 0, found.start()) + 1}: {found[0].strip()}" for found in re.finditer(looked, plain, re.IGNORECASE)
    ]


def bare_means(text: str) -> list[str]:
    """``line 7: 12.4``: cells of tables whose column is of means (*mean*, *average*) and that have no interval."""
    found, head = [], list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            head = []
        elif not head:
            head = cells
        else:
            for name, cell in zip(head, cells, strict=False):
                if re.search(r"\b(?:mean|average)\b", name, re.IGNORECASE) and re.search(r"\d", cell) and "[" not in cell:
                    found.append(f"line {number}: {cell}")
    return found

"""docs/tour.md shows the scripts of examples/ as they are, and what they print."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.shown import assert_alike, blocks

ROOT = Path(__file__).resolve().parents[2]
FOUND = blocks(ROOT / "docs" / "tour.md")
CODE = [content for kind, content in FOUND if kind == "python"]
PRINTED = [content.splitlines() for kind, content in FOUND if kind == "console"]
NAMES = [lines[0].removeprefix("$ python ") for lines in PRINTED]


def test_the_tour_shows_every_script_as_it_is() -> None:
    assert sorted(NAMES) == sorted(f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py"))
    assert CODE == [(ROOT / name).read_text(encoding="utf-8") for name in NAMES]


@pytest.mark.parametrize(
    ("name", "printed"),
    [pytest.param(n, p, marks=[pytest.mark.slow] * ("transfer" in n)) for n, p in zip(NAMES, PRINTED, strict=True)],
)
def test_a_script_prints_what_the_tour_shows(
    name: str, printed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / name), run_name="__main__")
    assert_alike(printed[1:], capsys.readouterr().out.splitlines())
    assert not list(tmp_path.iterdir())

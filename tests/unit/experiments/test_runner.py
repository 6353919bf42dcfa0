"""What runs every experiment: options from a dataclass, rows kept by key, what stands beside the numbers, errors in a sentence."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import figures, runner, tables
from experiments.runner import Book, says

RESULT = "made"


@dataclass(frozen=True)
class Settings:
    """Something of each kind."""

    count: int = says(3, "how many")
    eps: tuple[float, ...] = says((0.1, 8 / 255), "radii, 100 % of them")
    only: tuple[str, ...] = says(("a",), "parts", ("a", "b"))
    name: str | None = says(None, "a name")
    side: int | None = says(None, "a side")
    quick: bool = says(False, "less")
    fixed: int = 7


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["x/some.py", "--name", "b c"])


def test_fields_are_options() -> None:
    assert runner.read(Settings, argv=[]) == Settings()
    words = ["--count", "4", "--eps", "0.5, 2/255,", "--only", "b,a", "--name", "n", "--side", "8", "--quick"]
    assert runner.read(Settings, argv=words) == Settings(4, (0.5, 2 / 255), ("b", "a"), "n", 8, True)


def test_help_says_what_a_field_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.read(Settings, "About.", ["--help"])
    told = capsys.readouterr().out
    assert "About." in told and "how many [3]" in told and "100 % of them" in told and "--fixed" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--count", "x"], "Expected --count to be a whole number, but it was 'x'."),
        (["--side", "8.5"], "Expected --side to be a whole number, but it was '8.5'."),
        (["--eps", "0,high"], "Expected --eps to be a number such as 0.03 or 8/255, but it was 'high'."),
        (["--only", "a,c"], "Expected --only to be one of a, b, but it was 'c'."),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        runner.run(Settings, lambda s: ({}, None), argv=words)
    assert end.value.code == 2 and capsys.readouterr().err == told + "\n"


def test_a_failure_of_the_measurement_is_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    def missing(s: Settings) -> Any:
        Path("none.npz").read_bytes()

    with pytest.raises(SystemExit) as end:
        runner.run(Settings, missing, argv=[])
    said = capsys.readouterr().err
    assert end.value.code == 2 and "none.npz" in said and said.count("\n") == 1


def test_what_was_found_stands_beside_what_it_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    drawn: list[Any] = []

    def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
        drawn.extend([found, shown, path])
        return path

    runner.run(Settings, lambda s: ({"found": s.count}, "shown"), draw, argv=["--count", "5"])
    made = json.loads(Path("experiments/results/made.json").read_text())
    assert made["found"] == 5 and made["settings"]["count"] == 5 and made["settings"]["fixed"] == 7
    assert made["command"] == f"python -m {__name__} --name 'b c'"
    assert made["versions"]["torch"] and made["machine"]["cpus"] and made["seconds"] >= 0
    assert drawn == [{"found": 5}, "shown", Path("docs/made.png")] and runner.load("made") == made
    assert capsys.readouterr().out.count("wrote") == 2 and runner.load("other") is None


def test_a_row_is_measured_once_and_a_killed_run_goes_on() -> None:
    asked: list[str] = []

    def make(name: str) -> dict[str, Any]:
        asked.append(name)
        if name == "c" and asked.count("c") == 1:
            raise KeyboardInterrupt
        return {"value": len(asked)}

    def go(settings: Settings) -> list[dict[str, Any]]:
        book = Book("rows", settings)
        return [book.row(lambda name=name: make(name), name=name, at=(1, 2)) for name in "abcb"]  # type: ignore[misc]

    with pytest.raises(KeyboardInterrupt):
        go(Settings())
    rows = go(Settings())
    assert asked == ["a", "b", "c", "c"]
    assert rows == [{"name": n, "at": [1, 2], "value": v} for n, v in (("a", 1), ("b", 2), ("c", 4), ("b", 2))]
    kept = runner.load("rows")
    assert kept is not None and kept["rows"] == rows[:3]


def test_rows_of_other_settings_do_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    first = Book("rows", Settings(), same=("count", "eps"))
    first.row(lambda: {"value": 1}, name="a")
    first.put(note="kept")
    again = Book("rows", replace(Settings(), side=9), same=("count", "eps"))
    assert again.found == {"rows": [{"name": "a", "value": 1}], "note": "kept"}
    assert again.row(lambda: {"value": 2}, name="a")["value"] == 1
    assert Book("rows", Settings(count=4), same=("count",)).found == {}
    assert "count was 3; all is measured anew" in capsys.readouterr().out


def test_pictures_of_noise_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 500_000
    assert figures.shrink(tmp_path / "noise.png", 150_000).stat().st_size <= 150_000


def test_the_committed_tables_are_those_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[3]
    monkeypatch.chdir(root)
    assert (root / tables.OUT).read_text(encoding="utf-8") == tables.text()


def test_a_cell_cannot_end_a_table() -> None:
    assert tables.table(("a", "b"), [("x | y", 1)]) == "| a | b |\n| --- | --- |\n| x / y | 1 |"

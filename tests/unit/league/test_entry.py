"""An entry is read as it was written; one that was cut, edited or is of another version is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blackbox.league.entry import FILE, SCENARIO, Entry, EntryError, Image, Session


def made(**changed: Any) -> Entry:
    image = Image(image=7, label=3, attacked=True, success=True, queries=12, first_success_query=9, distance=0.1)
    session = Session(target="svm", seed=1, budget=50, folder="svm-1", key="k", images=[image, image.model_copy(update={"image": 9})])
    return Entry(
        **{
            "attack": "square", "parameters": "Square()", "source": "a" * 64, "player": "me", "scenario": "mini",
            "scenario_hash": "b" * 64, "sessions": [session], **changed,
        }
    )  # fmt: skip


def test_written_and_read(tmp_path: Path) -> None:
    entry = made()
    assert Entry.read(entry.write(tmp_path / "e")) == entry
    assert [(row.attack, row.session.target, row.image.image) for row in entry.rows()] == [("square", "svm", 7), ("square", "svm", 9)]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text[:90], "breaks off"),
        (lambda text: text.replace("league-1", "league-0"), "have the format blackbox-league-1, but it has 'blackbox-league-0'"),
        (lambda text: text.replace('"queries": 12', '"queries": -1'), "queries: it was -1"),
        (lambda text: text.replace('"seed"', '"speed"'), "seed: it is missing"),
        (lambda text: text.replace('"player"', '"prayer"'), "player: it is missing"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, edit: Any, said: str) -> None:
    path = made().write(tmp_path) / FILE
    path.write_text(edit(path.read_text()))
    with pytest.raises(EntryError, match="^Expected ") as caught:
        Entry.read(tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_no_entry(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="there is no entry.json"):
        Entry.read(tmp_path)
    (tmp_path / SCENARIO).touch()
    with pytest.raises(EntryError, match="it is not finished"):
        Entry.read(tmp_path)

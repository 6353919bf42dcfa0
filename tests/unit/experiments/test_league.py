"""Presets at equal effort, and the league's tests, against closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.studies.league import at_effort
from experiments.studies.transfer_league import Settings, compared, draw, share
from surrogates.crafting import presets


@pytest.mark.parametrize(
    ("name", "gradients", "nets", "steps"),
    [("mi-fgsm", 50, 1, 50), ("mi-fgsm", 50, 3, 16), ("fgsm", 50, 1, 1), ("si-fgsm", 50, 1, 10), ("dem", 50, 1, 10), ("dem", 60, 1, 12),
     ("i-fgsm", 1, 1, 1), ("dem", 4, 1, None), ("i-fgsm", 2, 3, None)],
)  # fmt: skip
def test_effort_buys_as_many_steps_as_it_can(name: str, gradients: int, nets: int, steps: int | None) -> None:
    preset = presets.get(name)
    found = at_effort(preset, gradients, nets)
    if steps is None:
        assert found is None and preset.cost(1, nets) > gradients
        return
    assert found is not None and found.steps == steps and found.name == f"{name} @ {gradients}"
    assert (
        found.parts == preset.parts
        and found.cost(nets=nets) <= gradients
        and (preset.steps == 1 or preset.cost(steps + 1, nets) > gradients)
    )


@pytest.mark.parametrize(
    ("name", "gradients", "steps", "copies"),
    [
        ("bsr", 50, 10, [5]),
        ("bsr", 10, 5, [2]),
        ("bsr", 5, 2, [2]),
        ("si-fgsm", 10, 5, [2]),
        ("bsr", 1, 0, []),
        ("bsr", 400, 20, [20]),
        ("admix", 50, 12, [2, 2]),
    ],
)
def test_too_little_effort_costs_copies_before_steps(name: str, gradients: int, steps: int, copies: list[int]) -> None:
    found = at_effort(presets.get(name), gradients)
    if not steps:
        assert found is None
        return
    assert found is not None and found.steps == steps and found.cost() <= gradients
    assert [view.copies for view in found.parts.all("view")] == copies


def row(preset: str, fooled: str, source: str = "a") -> dict[str, object]:
    return {"source": source, "effort": 6, "preset": preset, "images": 14, "fooled": {"t": fooled, "u": "1" + 13 * "0"}}


CHOSEN = {source: {"6": {"preset": "mi-fgsm", "rate there": 0.9}} for source in "ab"}
ROWS = [row("mi-fgsm", 12 * "1" + "0-"), row("fgsm", 2 * "1" + 11 * "0" + "-"), row("dem", 11 * "1" + "00-"),
        row("mi-fgsm", 13 * "0" + "-", "b"), row("fgsm", 13 * "0" + "-", "b")]  # fmt: skip


def test_a_rate_is_the_mean_over_targets_of_images_that_each_has_right() -> None:
    assert share(ROWS[0]) == pytest.approx((12 / 13 + 1 / 14) / 2)


def test_the_chosen_preset_is_tested_against_every_other_and_all_are_adjusted_together() -> None:
    found = compared(ROWS, CHOSEN)
    assert [(t["source"], t["other"], t["target"]) for t in found] == [
        ("a", "fgsm", "t"), ("a", "fgsm", "u"), ("a", "dem", "t"), ("a", "dem", "u"), ("b", "fgsm", "t"), ("b", "fgsm", "u")
    ]  # fmt: skip
    first = found[0]
    assert (first["chosen alone"], first["other alone"]) == (10, 0) and first["p"] == pytest.approx(2 / 2**10)
    assert first["p adjusted"] == pytest.approx(6 * first["p"]) and found[4]["p adjusted"] == 1


def test_a_league_is_shown(tmp_path: Path) -> None:
    settings = Settings(sources=("a", "b"), efforts=(6,), targets=("t", "u"), presets=("mi-fgsm", "fgsm", "dem"))
    made = {"reporting": ROWS, "chosen": CHOSEN}
    assert draw(made, settings, tmp_path / "league.png").stat().st_size > 10_000

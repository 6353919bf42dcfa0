"""The study of families: a recipe has no more gradients than it is given, and what was chosen is reported first."""

from typing import Any

import pytest

from experiments import published_families as figures
from experiments.studies import families


def test_a_recipe_has_no_more_gradients_than_it_is_given_over_all_nets() -> None:
    for name in (*families.RECIPES, *families.ATTENTION, "bsr + logit"):
        for count in (1, 2):
            assert families.preset(name, 50, count).cost(nets=count) <= 50, name
    assert families.preset("bsr, published", 50, 1).cost() == 200
    assert "Logit" in families.preset("bsr + logit", 50, 1).composes


def test_what_was_chosen_is_reported_first_and_beside_the_net_as_it_is() -> None:
    best = {goal: {"source": "VGG, robust-4", "recipe": "bsr", "on the plain net": "stm"} for goal in families.GOALS}
    found = families.asked(best, ["stm", "bsr"])
    assert found[:3] == [("VGG, robust-4", "bsr", 8, "untargeted"), ("VGG", "bsr", 8, "untargeted"), ("VGG", "noise", 8, "untargeted")]
    assert len(found) == len(set(found))
    assert {("VGG", f"torchattacks {kind}", 16, "targeted") for kind in families.PEERS} < set(found)


def test_rows_that_are_beaten_and_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(source: str, recipe: str, gradients: int, *hits: int) -> dict[str, Any]:
        fooled = {name: "1" * n + "0" * (20 - n) for name, n in zip(("resnet8", *figures.OTHERS), hits, strict=True)}
        return {"goal": "untargeted", "eps": 8, "source": source, "recipe": recipe, "gradients": gradients, "fooled": fooled}

    some = [row("two", "a", 50, 0, 20, 20, 5), row("VGG", "a", 50, 18, 9, 20, 0), row("VGG", "b", 60, 0, 9, 20, 5),
            row("VGG", "c", 10, 0, 20, 20, 5), row("VGG", "noise", 0, 0, 0, 0, 5)]  # fmt: skip
    found = {"chosen": {"untargeted": {"source": "two", "recipe": "a"}}, "reporting": some}
    monkeypatch.setattr(figures, "results", lambda name: found)
    assert str(figures.family_beaten("untargeted", "8")) == "a on densenet; b on densenet"
    assert str(figures.family_beaten("untargeted", "8", "nowhere")) == "c"
    assert [figures.family_tests("untargeted", "8", which) for which in ("all", "better", "noise", "worse")] == [12, 4, 2, 0]
    assert figures.family_tests("untargeted", "8", "worse", "choice", "all") == 1, "behind on the net that the means leave out"
    assert str(figures.family_beaten("untargeted", "8", "somewhere", "recipe", "all")) == "b on resnet8", "c and noise take fewer gradients"


def test_images_that_were_jpeg_have_a_file_of_their_own_and_what_matters_most_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "results", lambda name: {"chosen": {"targeted": {"source": name, "recipe": "a"}}, "ids": [1, 2]})
    assert figures.chosen("targeted jpeg") == ("families_jpeg", "a") and figures.chosen("targeted") == ("families", "a")
    assert figures.family_images("jpeg") == 2
    best = {goal: {"source": "VGG, robust-4", "recipe": "bsr", "on the plain net": "stm"} for goal in families.GOALS}
    some = families.first_asked(best)
    assert set(some) < set(families.asked(best, ["stm", "bsr"])) and {source for source, *_ in some} == {"VGG", "VGG, robust-4"}

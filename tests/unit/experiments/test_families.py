"""The study of families: a recipe has no more gradients than it is given, and what was chosen is reported first."""

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

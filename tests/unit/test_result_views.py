"""A result as people use it: a table, a curve, a notebook's view, pictures, a data set. The target's answers are known by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
import torch

import blackbox as bb
from blackbox.results.pictures import INDEX, read_picture, told

X = torch.full((6, 1, 2, 2), 100 / 255)
X[4:] = 200 / 255  # these two are too far from the border to be fooled
Y = torch.tensor([0, 0, 0, 1, 1, 1])  # image 3 is wrong before any attack
EDGE = 110 / 255


def bright(x: torch.Tensor) -> torch.Tensor:
    """Class 1 where the mean is above the edge."""
    over = x.flatten(1).double().mean(1) - EDGE
    return torch.stack([-over, over], 1) * 50


def attack(budget: int = 40, model=bright, levels: float = 20) -> bb.AttackResult:
    return bb.attack(bb.Oracle(model, "scores", 2), X, Y, "square", bb.Linf(levels / 255), budget, seed=0)


class Dies:
    """Answers so many images, then raises."""

    def __init__(self, rows: int) -> None:
        self.left = rows

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= len(x)
        if self.left < 0:
            raise OSError("gone")
        return bright(x)


def cut_off(rows: int) -> bb.AttackResult:
    with pytest.raises(bb.TargetError) as caught:
        attack(model=Dies(rows))
    return caught.value.result


def test_the_table_says_what_is_known_and_leaves_the_rest_open() -> None:
    table = attack().to_pandas()
    assert table["image"].tolist() == list(range(6))
    assert table["success"].tolist() == [True, True, True, False, False, False]
    assert table["attacked"].tolist() == [True, True, True, False, True, True]
    assert table["first_success_query"].isna().tolist() == [False, False, False, True, True, True]
    assert table["clean_label"].tolist() == [0, 0, 0, 0, 1, 1]
    assert set(table["seed"]) == {0} and set(table["attack"]) == {"square"} and set(table["eps"]) == {20 / 255}
    lost = cut_off(0).to_pandas()
    assert lost["success"].isna().all() and lost["attacked"].isna().all() and lost["clean_label"].isna().all()
    assert lost["queries"].tolist() == [0] * 6
    assert pd.concat([table, lost])["success"].mean() == 0.5  # the unknown are in no mean


def test_the_curve_is_the_curve() -> None:
    import matplotlib

    matplotlib.use("Agg")
    result = attack()
    axes = result.plot(label="mine")
    line = axes.lines[0]
    budgets = line.get_xdata().astype(int)
    assert line.get_ydata().tolist() == [100 * r.value for r in result.curve(budgets)]
    assert line.get_label() == "mine" and axes.get_xlabel() == "queries an image"
    assert not cut_off(0).plot().lines  # no line over no image


def test_a_notebook_shows_the_rates_and_says_first_that_some_are_unknown() -> None:
    whole, cut = attack()._repr_html_(), cut_off(7)._repr_html_()
    assert "60 %" in whole and "INCOMPLETE" not in whole and whole.count("<tr>") == 3
    assert "INCOMPLETE" in cut and cut.index("INCOMPLETE") < cut.index("<table>")


def test_pictures_hold_what_fools_the_target(tmp_path: Path) -> None:
    result, asked = attack(), bb.Oracle(bright, "labels", 2)
    rows = result.save_pictures(tmp_path, X, ["dark", "bright"], asked)
    assert [r["file"] for r in rows] == [f"{i}_dark_to_bright.png" for i in range(3)]
    with open(tmp_path / INDEX) as file:
        assert [r["holds"] for r in csv.DictReader(file)] == ["True"] * 3
    for i in range(3):
        back = read_picture(tmp_path / rows[i]["file"])
        assert bright(back[None]).argmax(1) == 1
        assert float((back - X[i]).abs().max()) <= 20 / 255 + 1e-6
        assert torch.equal((back * 255).round() / 255, back)
    assert asked.rows == 0  # they were found and verified at these very levels
    assert told(rows).endswith("all of them still fool the target when read back")


def test_no_picture_of_an_earlier_run_is_left(tmp_path: Path) -> None:
    attack().save_pictures(tmp_path, X)
    (tmp_path / "mine.png").write_bytes(b"")
    few = attack(budget=1)  # nothing is found with the clean query alone
    assert few.save_pictures(tmp_path, X) == [] and [p.name for p in tmp_path.glob("*.png")] == ["mine.png"]


def test_of_several_roundings_one_that_fools_is_taken(tmp_path: Path) -> None:
    """The target rounds by itself; from 110 on it is fooled, and the example lies at 109.6: the nearest level is, the one towards
    the clean image is not."""

    def eight(x: torch.Tensor) -> torch.Tensor:
        over = (x.double() * 255).round().flatten(1).mean(1) - 109.9
        return torch.stack([-over, over], 1)

    x = torch.full((1, 1, 2, 2), 100 / 255)
    result = bb.attack(bb.Oracle(eight, "scores", 2), x, torch.tensor([0]), "fd-fgsm", bb.Linf(10.0 / 255), 40)
    result.x_adv[:] = 109.6 / 255
    asked = bb.Oracle(eight, "labels", 2)
    [row] = result.save_pictures(tmp_path, x, oracle=asked)
    assert row["holds"] is True and row["file"] == "0_0_to_1.png" and asked.counts["verify"] == 2
    assert torch.equal(read_picture(tmp_path / row["file"]), torch.full((1, 2, 2), 110 / 255))


def test_a_picture_that_rounding_has_cured_is_said_not_to_hold(tmp_path: Path) -> None:
    """The border lies between two levels: only an image between them is over it by less than one level."""

    def fine(x: torch.Tensor) -> torch.Tensor:
        over = x.flatten(1).double().mean(1) * 255 - 119.9
        return torch.stack([-over, over], 1)

    x = torch.full((1, 1, 2, 2), 100 / 255)
    result = bb.attack(bb.Oracle(fine, "scores", 2), x, torch.tensor([0]), "fd-fgsm", bb.Linf(19.95 / 255), 40)
    assert result.success.all()
    asked = bb.Oracle(fine, "labels", 2)
    rows = result.save_pictures(tmp_path, x, oracle=asked)
    assert dict(asked.counts) == {"verify": 1}
    assert [r["holds"] for r in rows] == [False] and rows[0]["file"] == "0_0_to_0.png"
    assert "0 of 1 asked about still fool" in told(rows)


def test_pictures_that_were_not_asked_about_are_unknown(tmp_path: Path) -> None:
    between = attack(levels=19.5)  # its examples are no images of 8 bits
    rows = between.save_pictures(tmp_path, X)
    assert [r["holds"] for r in rows] == [None] * 3 and "unknown" in rows[0]["file"]
    dead = bb.Oracle(Dies(0), "labels", 2)
    assert [r["holds"] for r in between.save_pictures(tmp_path, X, oracle=dead)] == [None] * 3


def test_other_images_than_those_attacked_are_refused(tmp_path: Path) -> None:
    other = X.clone()
    other[2] += 1 / 255
    for use in (lambda x: attack().save_pictures(tmp_path, x), lambda x: attack().to_dataset(x)):
        with pytest.raises(ValueError, match="image 2 is another one"):
            use(other)
        with pytest.raises(ValueError, match="6 clean images"):
            use(X[:3])
    assert len(attack().save_pictures(tmp_path, X.numpy())) == 3


def test_shapes_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    x = torch.full((2, 2, 2, 2), 100 / 255)
    result = bb.attack(bb.Oracle(bright, "scores", 2), x, torch.tensor([0, 0]), "square", bb.Linf(20 / 255), 40)
    with pytest.raises(ValueError, match=r"1 or 3 channels.*examples\.safetensors"):
        result.save_pictures(tmp_path / "none", x)
    assert not (tmp_path / "none").exists()

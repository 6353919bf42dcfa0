"""What the page opens with, on models whose borders are known: see `tests.app_bench`."""

from __future__ import annotations

import pytest
import torch

import surrogates as sg
from blackbox.app import draw, opening
from blackbox.app.bench import Bench, Once
from blackbox.specs import Model


def test_it_opens_where_both_are_fooled_with_the_smallest_eps(table):
    """Image 0 gives way at 0.05 and 0.08, image 2 at 0.0625 and 0.0925; image 1 at 0.15 and 0.12, beyond the slider. Both models
    are unsure of all of them, so that the smallest eps decides."""
    made = opening.choose(table, "mine", "theirs", 3)
    assert made.order.tolist() == [0, 1, 2] and "one that fools both" in made.about
    assert made.eps == pytest.approx(0.1)  # 4/3 of 0.081, within the slider
    table.most = 0.2
    assert opening.choose(table, "mine", "theirs", 3).eps == pytest.approx(0.11)  # 4/3 of 41 steps of 0.002
    table.most, table.data = 0.085, sg.Dataset(table.data.images.flip(0), table.data.labels.flip(0), table.classes, "toy")
    made = opening.choose(table, "mine", "theirs", 3)  # now the only one that both give way on stands last
    assert made.order.tolist() == [2, 0, 1] and 0.08 < made.eps <= 0.085


def test_the_sentence_says_what_was_measured(table):
    for most, own, other in ((0.1, 2, 2), (0.085, 2, 1), (0.06, 1, 0), (0.04, 0, 0)):
        table.most = most
        said = opening.choose(table, "mine", "theirs", 3).about
        assert "Of the 3 images (of 3)" in said and f"fools the surrogate on {own} and theirs on {other}." in said


def test_the_slider_never_begins_where_one_of_them_is_right(table):
    """The target is wrong from 0.08 to 0.1 and from 0.115 on; a third more than 0.0816 is 0.109, where it is right again."""

    def twice(x):
        mean = x.flatten(1).mean(1)
        return (((mean >= 0.58) & (mean < 0.6)) | (mean >= 0.615)).long()

    table.targets, table.most = {"twice": Once(lambda: Model("twice", "toy", twice))}, 0.12
    assert opening.choose(table, "mine", "twice", 3, among=1).eps == pytest.approx(0.0816)


def test_where_no_image_fools_both_the_slider_begins_where_the_bench_says(table):
    table.most, table.start = 0.06, 0.02
    made = opening.choose(table, "mine", "theirs", 3)
    assert made.eps == 0.02 and "one that fools the surrogate" in made.about


def test_each_image_costs_the_target_two_queries_and_each_bisected_one_a_few_more(table):
    opening.choose(table, "mine", "theirs", 3, most=1)
    assert table.viewer("theirs").counts["choosing"] <= 2 * 3 + opening._ROUNDS + 1


def test_photographs_begin_at_their_own_eps_if_it_fools_both():
    images = torch.full((1, 3, 64, 64), 0.5)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(images[0].numel(), 2, bias=False))
    with torch.no_grad():
        net[1].weight[0], net[1].weight[1] = 1e-3, -1e-3  # 6.1 to -6.1 at 0.5; the sign of their sum decides
    data = sg.Dataset(images, torch.tensor([0]), ("a", "b"), "toy")
    shifted = torch.nn.Sequential(Shift(-0.49), net)
    bench = Bench(
        data, {"s": Once(lambda: shifted.requires_grad_(False))}, {"t": Once(lambda: Model("t", "toy", shifted, shifted))},
        most=16 / 255, start=4 / 255,
    )  # fmt: skip
    assert opening.choose(bench, "s", "t", 1).eps == pytest.approx(4 / 255, abs=1e-6)  # the border is at 0.01, below 4/255


class Shift(torch.nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x):
        return x + self.by


def test_preparation_tells_its_steps_and_keeps_its_error(table):
    done = []
    table.prepare = [("one", lambda: done.append(1)), ("two", lambda: done.append(2))]
    ready = opening.Preparation(table).start()
    assert ready.wait(20) and ready.error is None and done == [1, 2] and list(ready.watch()) == []
    assert opening.Preparation(Bench(table.data, {}, {})).start().ready
    table.prepare = [("bad", lambda: 1 / 0), ("never", lambda: done.append(3))]
    ready = opening.Preparation(table).start()
    assert ready.wait(20) and isinstance(ready.error, ZeroDivisionError) and done == [1, 2]


def test_the_page_says_what_it_waits_for():
    html = draw.waiting(["fitting", "training", "choosing"], 1)
    assert 'value="1"' in html and "fitting — done" in html and "training …" in html and "choosing</li>" in html

"""Reports of runs whose goal is not one class: what they say, what they leave out, and what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.app import saved
from blackbox.goals import Detection, Goal, NoneOf, Regression, Verification
from blackbox.report import build, headline, marks, runs, shown
from blackbox.report.gallery import Gallery
from blackbox.report.pages import Page, Table
from blackbox.report.sections import answers, columns, galleries
from blackbox.report.sections.common import Item

X = torch.tensor(np.random.default_rng(1).uniform(0.2, 0.8, (5, 1, 8, 8)), dtype=torch.float32)
W = torch.tensor(np.random.default_rng(2).normal(size=(64, 4)), dtype=torch.float32)
DATA = sg.Dataset(X, torch.zeros(5, dtype=torch.int64), ("cat", "dog"), "mine")
FALSE = ("accuracy", "had right", "fooled", "fool the target", "misclass", "clean right", "robust")


def numbers(x: Tensor) -> Tensor:
    return torch.stack([(x.flatten(1) * W[:, j]).sum(1) for j in range(4)], 1)


def found(x: Tensor) -> list[dict[str, Any]]:
    sure = torch.sigmoid(numbers(x)[:, 0] - numbers(X)[:, 0].min() + 0.1).tolist()
    return [{"boxes": [[1, 1, 5, 6]] if s > 0.5 else [], "scores": [s] if s > 0.5 else [], "labels": [1] if s > 0.5 else []} for s in sure]


def pictured(folder: Path, oracle: bb.Oracle, goal: Goal, **more: Any) -> tuple[bb.AttackResult, Gallery]:
    """A run, saved and read back, and its gallery."""
    bb.attack(oracle, X, None, "square", bb.Linf(0.2), 60, goal=goal, **more).save(folder)
    result = bb.AttackResult.load(folder)
    assert bool(result.success.any())
    shown.of_attack(folder, result, DATA)
    images = shown.read(folder)
    assert images is not None
    made = answers.gallery(Item(runs.Run("", folder), "", result), images, 5)
    assert made is not None
    return result, made


def test_boxes_and_the_masks_edge_are_drawn_and_no_word_is_of_classes(tmp_path: Path) -> None:
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:7] = True
    oracle, goal = bb.Oracle(found, "answers", ["cat", "dog"]), Detection(found(X))
    result, gallery = pictured(tmp_path, oracle, goal, mask=mask)
    text = result.summary() + gallery.caption + headline.queries([Item(runs.Run("", tmp_path), "", result)])
    rate = result.success_rate
    two = headline.queries([Item(runs.Run("", tmp_path), "", result)], name_target=True)
    assert f"reached the goal on {result.config['target']} for" in two, "the goal is the attacker's, not the target's"
    for said in (
        "Goal: nothing is found where the objects were", f"of the {rate.n} inputs that did not reach the goal unchanged",
        "an object is found at its place", f"reached the goal for {headline.percent(rate)} of the {rate.n} inputs",
    ):  # fmt: skip
        assert said in text, said
    assert not [word for word in FALSE if word in text.lower()]
    captions = [said for _, said in saved.opened(tmp_path).examples]  # as the app shows it
    assert "; now nothing" in captions[0] and not [said for said in captions if "class" in said]
    assert "dog" in gallery.says[0][0] and gallery.says[1][0] == "nothing"
    clean, changed, difference = (row[0] for row in gallery.rows)
    assert clean.shape == (224, 224, 3)
    top = clean[28, 100:140]  # y1 = 1 of 8, times 28
    assert (top == marks.BOX).all() and not (changed[28, 100:140] == marks.BOX).all(1).any()
    edge = [(clean[2 * 28 + k, 180:220] == colour).all() for k, colour in ((0, 255), (2, 0))]  # white outside, black inside
    assert all(edge) and not (difference[2 * 28, 180:220] == 255).all()
    assert result.mask is not None and result.mask.shape == (1, 1, 8, 8) and bool((result.mask[0, 0] == mask).all())


def test_a_reference_and_the_distances_to_it(tmp_path: Path) -> None:
    other = numbers(X).roll(1, 0)
    far = (numbers(X) - other).norm(dim=1)
    goal = Verification(other.numpy(), float(far.min()) * 0.95, images=X.roll(1, 0).numpy())
    result, gallery = pictured(tmp_path, bb.Oracle(numbers, "answers"), goal)
    assert "Goal: taken for the reference" in gallery.caption and "(not taken for the reference)" in result.summary()
    i = next(iter(result.answers))
    assert result.answers[i]["before"]["value"] == pytest.approx(float(far[i]), rel=1e-5)
    assert result.answers[i]["after"]["value"] <= goal.threshold and gallery.says[0][0].startswith("distance")
    name, images, _ = gallery.more[0]
    assert name == "reference" and images[0].shape == (8, 8, 3)
    assert np.abs(images[0][..., 0] / 255 - (1 - X[i - 1, 0].numpy())).max() < 0.01  # ink on paper


def test_maps_before_and_after(tmp_path: Path) -> None:
    base = (X[:, 0] > 0.5).int().numpy()
    goal = bb.goal(lambda a, i: float((a != base[i]).mean()) - 0.2, name="a fifth of the pixels get another class")
    _, gallery = pictured(tmp_path, bb.Oracle(lambda x: (x[:, 0] > 0.5).int().numpy(), "answers"), goal)
    assert [row[0] for row in gallery.more] == ["map before", "map after"] and "class 1" in gallery.says[0][0]
    before, after = (row[1][0] for row in gallery.more)
    assert (before != after).any(-1).mean() >= 0.2 and "rows6" in gallery.html()


def test_numbers_and_classes_among_the_first(tmp_path: Path) -> None:
    number = bb.Oracle(lambda x: numbers(x)[:, 0], "answers")
    result, gallery = pictured(tmp_path / "number", number, Regression(numbers(X)[:, 0], by=0.5, way="up"))
    i = next(iter(result.answers))
    value = {when: result.answers[i][when]["value"] for when in ("before", "after")}
    assert value["after"] - value["before"] >= 0.5 and gallery.says[0][0] == f"{value['before']:.4g}"
    y = numbers(X).argmax(1)
    goal = NoneOf(y[:, None], k=2)
    result, gallery = pictured(tmp_path / "classes", bb.Oracle(numbers, "scores", ["a", "b", "c", "d"]), goal)
    i = next(iter(result.answers))
    first = ["abcd"[c] for c in result.answers[i]["after"]["classes"]]
    assert len(first) == 2 and "abcd"[y[i]] not in first and gallery.says[1][0].startswith(first[0])


def test_another_goal_is_not_compared_and_has_a_table_of_its_own(tmp_path: Path) -> None:
    oracle = bb.Oracle(numbers, "scores", 4)
    y = numbers(X).argmax(1)
    for name, goal in (("class", None), ("set", NoneOf(y[:, None]))):
        bb.attack(oracle, X, y, "square", bb.Linf(0.1), 20, goal=goal).save(tmp_path / name)
    page = build.compose(runs.read_all([tmp_path]), tmp_path)
    text = page.markdown()
    assert "Fooled, %" in text and "Reached, %" in text and "With another goal, and so not compared: set." in text
    lines = build.tables.write(runs.read_all([tmp_path]), tmp_path)
    head, *rows = (tmp_path / "attacks.csv").read_text().splitlines()
    assert "attacks.csv" in lines and {"fooled_k", "reached_k", "goal"} <= {*head.split(",")}
    cells = [dict(zip(head.split(","), row.split(","), strict=False)) for row in rows]
    assert [bool(c["fooled_k"]) for c in cells] == [True, False]


def test_answers_outlive_a_stop_and_a_start_from_a_checkpoint(tmp_path: Path) -> None:
    asked: list[int] = []

    def target(x: Tensor) -> Tensor:
        asked.append(len(x))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return numbers(x)[:, 0]

    def run() -> bb.AttackResult:
        goal = Regression(numbers(X)[:, 0], by=1.0)
        return bb.attack(
            bb.Oracle(target, "answers", name="m"), X, None, "square", bb.Linf(0.2), 60, goal=goal, checkpoint=tmp_path / "c"
        )

    with pytest.raises(KeyboardInterrupt):
        run()
    result = run()
    assert result.success.any() and [*result.answers] == result.success.nonzero().flatten().tolist()
    assert all({"before", "after"} <= set(each) for each in result.answers.values())
    result.save(tmp_path / "saved")
    again = bb.AttackResult.load(tmp_path / "saved")
    assert again.answers == result.answers and len(again.take([4, 0]).answers) == sum(i in result.answers for i in (4, 0))


def test_a_patch_is_framed_where_it_came_to_lie_and_a_frame_as_it_is_given(tmp_path: Path) -> None:
    y = numbers(X).argmax(1)
    oracle = bb.Oracle(numbers, "scores", 4)
    for name, threat in (("patch", bb.Patch(3)), ("frame", bb.Frame(1))):
        bb.attack(oracle, X, y, "auto", threat, 100, seed=1).save(tmp_path / name)
        result = bb.AttackResult.load(tmp_path / name)
        i = int(result.success.nonzero()[0])
        place = answers.changeable(result, i, (result.x_adv[i] - X[i]).numpy())
        assert place is not None and not (result.x_adv[i] != X[i]).numpy()[..., ~place.reshape(-1, 8, 8)[0]].any()
        assert place.reshape(-1, 8, 8)[0].sum() == (9 if name == "patch" else 28)
    shown.of_attack(tmp_path / "patch", bb.AttackResult.load(tmp_path / "patch"), DATA)
    (run,) = runs.read_all([tmp_path / "patch"])
    made = galleries._gallery(Item(run, "", run.attacks[""]), run.images[""], galleries.Room(1))
    assert made is not None and made.marked and "Outlined" in made.caption


def test_changed_columns_of_a_table(tmp_path: Path) -> None:
    x = np.array([[1.0, 20.0, 1, 0], [3.0, 40.0, 0, 1], [2.0, 30.0, 1, 0]])
    names = ["years", "income", "job_a", "job_b"]
    table = bb.Tabular.from_data(x, columns=names, integer=["income"], categorical={"job": names[2:]})
    oracle = bb.Oracle(lambda v: torch.stack([v[:, 0] + v[:, 2], torch.full_like(v[:, 0], 2.5)], 1), "logits", 2)
    y = [0 if row[0] + row[2] > 2.5 else 1 for row in x]
    bb.attack(oracle, x, y, "square", bb.Linf(0.4), 60, table=table).save(tmp_path)
    (run,) = runs.read_all([tmp_path])
    result = run.attacks[""]
    page = Page("t")
    columns.add(page, [Item(run, "", result)])
    often, examples = (block for block in page.blocks if isinstance(block, Table))
    first = {row[0]: row[2] for row in often.rows}
    assert first["years"].n == int(result.success.sum()) and first["years"].k == sum(c.column == "years" for c in result.changes())  # type: ignore[union-attr]
    k = int(result.success.nonzero()[0])
    change = next(c for c in result.changes() if c.sample == k)
    assert f"{change.column} {change.before:.6g} → {change.after:.6g}" in str(examples.rows[0][2])
    assert result.mask is None and "No clean images were kept" not in build.compose([run], tmp_path).markdown()


def test_a_code_of_a_category_goes_neither_up_nor_down(tmp_path: Path) -> None:
    x = np.array([[0, 20_000.0], [2, 90_000.0], [1, 50_000.0]])
    table = bb.Tabular.from_data(x, columns=["job", "income"], categorical=["job"])
    oracle = bb.Oracle(lambda v: torch.stack([v[:, 0] + v[:, 1] / 1e5, torch.full_like(v[:, 0], 1.1)], 1), "logits", 2)
    result = bb.attack(oracle, x[[0, 1]], [1, 0], "square", bb.L2(1.4), 60, table=table)
    result.save(tmp_path)
    (run,) = runs.read_all([tmp_path])
    page = Page("t")
    columns.add(page, [Item(run, "", run.attacks[""])])
    rows = {row[0]: row for row in next(block for block in page.blocks if isinstance(block, Table)).rows}
    assert "→" in str(rows["job"][1]) and rows["job"][3:] == ["–", "–"], rows["job"]
    assert "up" in str(rows["income"][1]) and "," in str(rows["income"][3]), rows["income"]
    assert "e+" not in result.summary()


def test_a_log_names_the_goal_and_no_accuracy() -> None:
    class Kept:
        def __init__(self) -> None:
            self.settings: dict[str, Any] = {}
            self.names: set[str] = set()

        def start(self, settings: Any) -> None:
            self.settings = dict(settings)

        def scalars(self, step: int, values: Any) -> None:
            self.names |= {*values}

        def images(self, step: int, pictures: Any) -> None: ...

        def end(self, status: str) -> None: ...

    log, goal = Kept(), Regression(numbers(X)[:, 0], by=0.5, way="up")
    bb.attack(bb.Oracle(lambda x: numbers(x)[:, 0], "answers"), X, None, "square", bb.Linf(0.2), 30, goal=goal, log=log)
    assert log.settings["goal"] == "the number moves up by 0.5"
    assert "final/withstood" in log.names and not [name for name in log.names if "accuracy" in name]

"""The images that a sweep keeps to be looked at: those of the cell itself, the same however the work is cut, and not too large."""

from __future__ import annotations

import os
import runpy
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox.report import build, figures, points
from blackbox.report import runs as saved_runs
from blackbox.report.sections import galleries
from blackbox.specs import digits
from blackbox.sweep import Plan, Store, StoreError, Study, Table, loading, pictures, work
from tests.unit.sweep.test_store import cell

VERSION_1 = """
CREATE TABLE head (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cells (key TEXT PRIMARY KEY, columns BLOB NOT NULL, seconds REAL, host TEXT, at REAL);
CREATE INDEX times ON cells (key, seconds);
CREATE TABLE claims (key TEXT PRIMARY KEY, host TEXT, process INTEGER, at REAL);
INSERT INTO head VALUES ('version', '1');
"""


@pytest.fixture
def right(here: Path) -> Path:
    """The target has all images right, but for one of each block."""
    images = np.load("data.npz")["images"]
    model = runpy.run_path("target.py")["linear"]
    labels = model(torch.from_numpy(images)).argmax(1).numpy()
    labels[::4] = (labels[::4] + 1) % 3
    np.savez("data.npz", images=images, labels=labels)
    work.forget()
    return here


def study(**more: Any) -> Study:
    grid = {"targets": "target.py:linear", "attacks": ["square", "simba"], "threats": ["linf:1e-6", "linf:0.15"],
            "budgets": [10, 30], "seeds": [1, 0]}  # fmt: skip
    return Study(images={"data": "npz:data.npz"}, block=4, classes=3, attack=grid | more)


def kept(path: str | Path) -> dict[str, bytes]:
    with Store(path, look=True) as store:
        return store.images(store.pictured())


def near(kept: np.ndarray, true: np.ndarray, clean: np.ndarray) -> None:
    """Within a half of a 127th of the largest entry, which is exact."""
    for a, b, x in zip(kept, true, clean, strict=True):
        change = np.abs(b - x)
        assert np.abs(a - b).max() <= change.max() / 253 + 1e-7
        assert abs(np.abs(a - x).max() - change.max()) < 1e-7


def test_the_images_are_the_cells_own(right: Path) -> None:
    table = study().run("s")
    data, plan = np.load("data.npz"), table.plan
    model = runpy.run_path("target.py")["linear"]
    seen = 0
    with Store("s", look=True) as store:
        for point in plan.points:
            oracle = bb.Oracle(model, classes=3)
            x, y = data["images"][:4], data["labels"][:4]
            eps = float(point.threat.partition(":")[2])
            alone = bb.attack(oracle, x, y, point.what, bb.Linf(eps), point.budget, seed=point.seed)
            shown = points.read(store, table, point)
            index = figures.choose(alone, 8)
            if shown is None:
                assert not len(index)
                continue
            seen += len(index)
            assert shown.index.tolist() == index.tolist() and 0 not in index
            np.testing.assert_array_equal(shown.clean, x[index])
            near(shown.changed, alone.x_adv[index].numpy(), x[index])
            assert shown.said["adv_label"].tolist() == alone.adv_label[index].tolist()
            np.testing.assert_array_equal(shown.said["clean_confidence"], alone.clean_confidence[index])
            np.testing.assert_array_equal(shown.said["adv_confidence"], alone.adv_confidence[index])
    assert seen > 5


def test_those_of_a_transfer(here: Path) -> None:
    values: dict[str, Any] = {
        "images": {"n": 24}, "block": 12,
        "transfer": {"sources": "digits:mlp", "targets": ["digits:mlp", "digits:knn"], "presets": "mim", "threats": "linf:0.2"},
    }  # fmt: skip
    table = Study(**values).run("s")
    images = loading.images(Study(**values))
    x, y, ids = images.data.images[:12], images.data.labels[:12], images.index[:12]
    crafted = sg.craft(digits.fit("mlp"), x, y, "mim", threat=bb.Linf(0.2), seed=0, ids=ids)
    with Store("s", look=True) as store:
        for point, found in table.outcomes.items():
            fooled = (found["clean_target"] == found["y"]) & (found["adv_target"] != found["y"])
            index = figures.spread(np.flatnonzero(fooled[:12]), y.numpy(), 8)
            shown = points.read(store, table, point)
            assert shown is not None and shown.index.tolist() == index.tolist() and len(index) > 1
            near(shown.changed, crafted[index].numpy(), x[index].numpy())
    assert kept("s").keys() == set(table.plan.first.values())
    again = Study(**values).run("t")
    assert kept("t") == kept("s") and again.done == 4


def test_a_difference_keeps_its_largest_entry_and_is_small() -> None:
    draw = np.random.default_rng(0)
    clean = torch.from_numpy(draw.uniform(0, 1, (9, 3, 224, 224)).astype(np.float32))
    changed = (clean + torch.from_numpy(draw.choice([-1, 1], clean.shape).astype(np.float32)) * 4 / 255).clip(0, 1)
    index = pictures.choose(np.ones(9, bool), np.arange(9), clean[0])
    assert len(index) == 3, "half a megabyte holds so many photographs"
    packed = pictures.pack(index, clean, changed)
    assert packed is not None and len(packed) < pictures.ROOM / 2 < 3 * clean[0].numel() * 4 / 7
    assert len(pictures.choose(np.ones(9, bool), np.arange(9), torch.zeros(3, 1000, 1000))) == 1
    assert len(pictures.choose(np.ones(9, bool), np.zeros(9), torch.zeros(1, 8, 8))) == 8
    assert pictures.pack(np.zeros(0, int), clean, changed) is None


@pytest.mark.parametrize("scale", [1e-6, 0.03, 1.0])
def test_every_entry_is_off_by_a_254th_of_the_largest_at_most(scale: float) -> None:
    draw = np.random.default_rng(0)
    clean = torch.from_numpy(draw.uniform(0, 1, (5, 1, 8, 8)))
    changed = (clean + scale * torch.from_numpy(draw.normal(size=clean.shape))).clip(0, 1)
    changed[3] = clean[3]
    packed = pictures.pack(np.array([1, 3, 4]), clean, changed, {"adv_label": np.arange(5)})
    assert packed is not None
    index, change, said = pictures.unpack(packed)
    true = (changed - clean)[[1, 3, 4]].numpy()
    largest = np.abs(true).max((1, 2, 3))
    assert index.tolist() == said["adv_label"].tolist() == [1, 3, 4]
    np.testing.assert_array_equal(np.abs(change).max((1, 2, 3)), largest)
    assert (np.abs(change - true).max((1, 2, 3)) <= largest / 253.99).all() and not change[1].any()


def as_version_1(path: Path, of: Path) -> None:
    """The store of the version before, with the same cells."""
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1)
        db.execute("ATTACH ? AS new", (str(of),))
        db.execute("INSERT INTO cells SELECT * FROM new.cells")


def test_a_store_of_before_opens_and_has_no_images(right: Path) -> None:
    table = study().run("new")
    as_version_1(right / "old", right / "new")
    before = (right / "old").read_bytes()
    with Store("old", look=True) as store:
        assert store.pictured() == set() and store.images(kept("new")) == {}
        assert points.of_each(store, table, 9) == ({}, [])
        assert all(points.read(store, table, p) is None for p in table.outcomes)
    assert (right / "old").read_bytes() == before, "only looked at"
    assert study().run("old").done == table.done and not kept("old"), "what is done is not done again"
    more = study(seeds=[0, 1, 2]).run("old")
    assert kept("old") and kept("old").keys() == {more.plan.first[p] for p in more.plan.points if p.seed == 2} & kept("old").keys()


def test_images_come_with_their_cell_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.add([cell("a"), cell("b", images=b"1"), cell("c", columns=None, error="no", images=None)])
        store.add([cell("a", images=b"later"), cell("b", images=b"2")])
        assert store.images("abc") == {"b": b"1"}
        store.db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="make room and give the same command again"):
            store.add([cell("d", images=os.urandom(100_000))])
        assert store.done().keys() == {"a", "b"} and store.pictured() == {"b"}


def test_damaged_images_are_told_and_hide_nothing_else(right: Path) -> None:
    folder = run_folder(right)
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("UPDATE shown SET images = ?", (b"no images",))
    (run,) = saved_runs.read_all([folder])
    assert run.sweep is not None and run.sweep.done == run.sweep.total and not run.images
    assert len(run.problems) == 1 and "images of square, on target.py:linear" in run.problems[0]
    build.write([run], right)


def run_folder(where: Path, **more: Any) -> Path:
    """A study as the command line leaves it."""
    folder = where / "runs" / "study"
    grid = {"targets": "target.py:linear", "attacks": ["square", "simba"], "threats": ["linf:1e-6", "linf:0.15"], "budgets": [10, 30]}
    lines = "\n".join(f"{name} = {value!r}" for name, value in (grid | more).items())
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(f'classes = 3\nblock = 4\nimages = {{ data = "npz:data.npz" }}\n[attack]\n{lines}\n')
    Study.load(folder / "study.toml").run(folder / "store.sqlite")
    return folder


def test_the_report_shows_one_point_for_each_attack_and_target(right: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(right)
    (run,) = saved_runs.read_all([folder])
    assert list(run.images) == [f"{a}, on target.py:linear, linf:0.15, budget 30, seed 0" for a in ("square", "simba")]
    build.write([run], right)
    page = (right / "report.html").read_text()
    assert page.count('class="gallery small"') == 2
    point = next(p for p in run.sweep.outcomes if str(p) in run.images)  # type: ignore[union-attr]
    shown, found = run.images[str(point)], run.sweep.outcomes[point]  # type: ignore[union-attr]
    k = shown.index[0]
    sure = [f"{100 * shown.said[name][0]:.0f} %" for name in ("clean_confidence", "adv_confidence")]
    for words in (
        f"{shown.name(found['y'][k])} → {shown.name(shown.said['adv_label'][0])}", f"{shown.name(found['clean_label'][k])}, {sure[0]}",
        f"{shown.name(shown.said['adv_label'][0])}, {sure[1]}", f"query {found['first_success_query'][k]}, ×3.33",
    ):  # fmt: skip
        assert words in page, words
    assert len(list(right.glob("examples-study-point-*.png"))) == 2
    monkeypatch.setattr(saved_runs, "POINTS", 1)
    monkeypatch.setattr(galleries, "ROOM", 10)
    build.write(saved_runs.read_all([folder]), right)
    page = (right / "report.html").read_text()
    assert 'class="gallery' not in page and "so that they are not too many: simba, on target.py:linear, linf:0.15" in page
    assert "so that the page stays small: study, square, on target.py:linear, linf:0.15, budget 30, seed 0." in page


def test_few_galleries_have_every_attack_and_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"targets": list("xyz"), "attacks": ["square", "simba", "nes"], "threats": ["linf:0.1", "linf:0.2"],
            "budgets": [5, 9], "seeds": [3, 2]}  # fmt: skip
    plan = Plan(Study(attack=grid), 4, dict.fromkeys(["", *"xyz"], ""))
    table = Table(plan, {p: {} for p in plan.points})

    class Pictured:
        def pictured(self) -> set[str]:
            return {key for p, key in plan.first.items() if p.threat == "linf:0.2" or p.target == "z"}

    monkeypatch.setattr(points, "read", lambda store, table, point: point)
    found, rest = points.of_each(Pictured(), table, 3)  # type: ignore[arg-type]
    assert [(p.target, p.what) for p in found] == [("x", "square"), ("y", "simba"), ("z", "nes")] and len(rest) == 6
    assert {(p.target, p.threat) for p in [*found, *rest]} == {("x", "linf:0.2"), ("y", "linf:0.2"), ("z", "linf:0.1")}
    assert {(p.budget, p.seed) for p in [*found, *rest]} == {(9, 2)}

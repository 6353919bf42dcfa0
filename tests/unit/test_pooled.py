"""Several seeds pooled: against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.protocol import Status
from tests.commands import Cli, sentence

N, BUDGET = 4, 50


def made(seed: int, first: list[int], unknown: int = 0, **config) -> bb.AttackResult:
    """A result whose images were fooled at these queries (0: not), the last ``unknown`` cut off after 3 queries."""
    when = torch.tensor(first)
    cut = torch.arange(N) >= N - unknown
    status = tuple(
        Status.ERROR if c else Status.SUCCESS if f else Status.BUDGET for f, c in zip(first, cut.tolist(), strict=True)
    )
    columns = {
        name: torch.zeros(N) for name in ("distance", "loss", "clean_loss")
    } | {name: torch.zeros(N, dtype=torch.int64) for name in ("clean_label", "y", "goal")}  # fmt: skip
    settings = {
        "attack": "square", "target": "net", "access": "scores", "budget": BUDGET, "targeted": False, "seed": seed, **config
    }  # fmt: skip
    return bb.AttackResult(
        success=(when > 0) & ~cut, queries=torch.where(cut, 3, torch.where(when > 0, when, BUDGET)), first_success_query=when,
        x_adv=torch.zeros(N, 1, 2, 2), status=status, verified=torch.full((N,), -1, dtype=torch.int8), ids=torch.arange(N),
        threat=bb.Linf(0.1), config=settings, **columns,
    )  # fmt: skip


def test_runs_on_other_parts_of_the_input_are_told_apart(tmp_path: Path) -> None:
    x, y = torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, dtype=torch.int64)
    left = torch.zeros(4, 4, dtype=torch.bool)
    left[:, :2] = True

    def run(seed: int, x: torch.Tensor = x, threat: bb.Threat | None = None, **more: Any) -> bb.AttackResult:
        oracle = bb.Oracle(lambda x: torch.stack([1 + x.flatten(1)[:, 0], x.flatten(1)[:, 1]], 1), classes=2, returns="logits")
        return bb.attack(oracle, x, y, "square", threat or bb.L2(0.1), 3, seed=seed, **more)

    for one, two in (
        ({"mask": left}, {"mask": ~left}),
        ({"mask": left * 0.5 + 0.25}, {"mask": ~left * 0.5 + 0.25}),
        ({"ranges": (0.25, 0.75)}, {"ranges": (0.5, 1.0)}),
    ):
        with pytest.raises(ValueError, match="the hash of mask and ranges is"):
            bb.pool([run(0, **one), run(1, **two)])
        run(0, **one).save(tmp_path / "one")
        assert bb.pool([bb.load(tmp_path / "one"), run(1, **one)]).seeds == (0, 1)
    tables = [bb.Tabular([(0, 1)] * 16, immutable=column) for column in ([3], [4])]
    with pytest.raises(ValueError, match="but table is"):
        bb.pool([run(seed, x.flatten(1), table=table) for seed, table in enumerate(tables)])
    run(0, x.flatten(1), table=tables[0]).save(tmp_path / "table")
    bb.pool([bb.load(tmp_path / "table"), run(1, x.flatten(1), table=tables[0])])
    bb.pool([run(seed, threat=bb.Patch(1, location="random")) for seed in (0, 1)])


def test_rates_and_means_are_over_seeds_and_images() -> None:
    pooled = bb.pool([made(0, [2, 4, 0, 0]), made(1, [2, 0, 0, 0]), made(2, [2, 4, 6, 0])])
    assert pooled.success_rate.value == pytest.approx(6 / 12) and pooled.robust_accuracy.value == pytest.approx(6 / 12)
    assert pooled.mean_queries.value == pytest.approx((2 + 4 + 50 + 50 + 2 + 150 + 2 + 4 + 6 + 50) / 12)
    assert [rate.value for rate in pooled.per_seed().values()] == [0.5, 0.25, 0.75]
    assert [c.value for c in pooled.curve([1, 2, 4, 50])] == pytest.approx([0, 3 / 12, 5 / 12, 6 / 12])
    low, high = pooled.success_rate.low, pooled.success_rate.high
    assert low < 0.25 and high > 0.75, "an interval over seeds and images is wider than the seeds' own spread"
    said = pooled.summary()
    assert "3 seeds: 0, 1, 2" in said and "by seed 25 to 75 %" in said and "INCOMPLETE" not in said
    assert len(pooled.to_pandas()) == 12 and pooled.to_pandas().groupby("seed")["success"].mean().tolist() == [0.5, 0.25, 0.75]


def test_what_is_unknown_is_in_no_rate_and_said_first() -> None:
    pooled = bb.pool([made(0, [2, 4, 0, 0]), made(1, [2, 0, 0, 0], unknown=2)])
    assert pooled.success_rate.value == pytest.approx((1 + 1 / 2 + 0 + 0) / 4) and pooled.unknown == 2  # by image
    assert pooled.summary().startswith("INCOMPLETE: seed 1: 2 of 4 images are unknown")
    assert pooled.bounds(lambda r: r.success_rate) == pytest.approx(((2 / 4 + 1 / 4) / 2, (2 / 4 + 3 / 4) / 2))
    assert "with the unknown between 38 and 62 %" in pooled.summary()


def test_seeds_that_agree_tell_no_more_than_one() -> None:
    """A deterministic attack: its images are counted once, and the summary says for what the interval holds."""
    once, thrice = (bb.pool([made(seed, [2, 4, 0, 0]) for seed in range(seeds)]) for seeds in (1, 3))
    for name in ("success_rate", "robust_accuracy", "mean_queries"):
        one, more = getattr(once, name), getattr(thrice, name)
        assert (one.low, one.high, one.n) == (more.low, more.high, more.n), name
    assert once.success_rate.low == pytest.approx(bb.Rate(2, 4).low) and [c.n for c in thrice.curve([4])] == [4]
    said = thrice.summary()
    assert "for other images of this kind" in said and said.endswith("4 images: " + bb.statistics.few(4).partition(": ")[2])


def test_a_rate_of_all_or_none_has_the_interval_of_its_images() -> None:
    none = bb.pool([made(seed, [0, 0, 0, 0]) for seed in range(3)])
    assert none.success_rate.value == 0 and none.success_rate.high == pytest.approx(bb.Rate(0, 4).high)
    assert none.robust_accuracy.low == pytest.approx(bb.Rate(4, 4).low) and none.robust_accuracy.high == 1
    assert "(1 seed × 4 images)" in bb.pool([made(0, [2, 0, 0, 0])]).summary()


def test_runs_that_differ_in_more_than_their_seed_are_not_pooled() -> None:
    first = made(0, [2, 0, 0, 0])
    others = {
        "attack is": made(1, [2, 0, 0, 0], attack="nes"), "budget is": made(1, [2, 0, 0, 0], budget=9),
        "one threat": replace(made(1, [2, 0, 0, 0]), threat=bb.Linf(0.2)),
        "their ids, labels or pixels": replace(made(1, [2, 0, 0, 0]), ids=torch.arange(N) + 1),
        "ids, labels or pixels": replace(made(1, [2, 0, 0, 0]), prints=torch.arange(N) + 7),
        "equal seeds": made(0, [2, 0, 0, 0]), "parameters is": made(1, [2, 0, 0, 0], parameters="Square(p_init=0.9)"),
        "eight_bit is": made(1, [2, 0, 0, 0], eight_bit=True), "votes is": made(1, [2, 0, 0, 0], votes=3),
        "goal is": made(1, [2, 0, 0, 0], goal="the number moves up by 2"), "mask is": made(1, [2, 0, 0, 0], mask=0.5),
        "max_bad is": made(1, [2, 0, 0, 0], max_bad=9), "shared_budget is": made(1, [2, 0, 0, 0], shared_budget={"total": 200}),
    }  # fmt: skip
    for words, other in others.items():
        with pytest.raises(ValueError, match=words):
            bb.pool([first, other])
    with pytest.raises(ValueError, match="at least one"):
        bb.pool([])


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    pooled = bb.pool([made(3, [2, 4, 0, 0]), made(1, [2, 0, 0, 0])])
    pooled.save(tmp_path)
    again = bb.load(tmp_path)
    assert isinstance(again, bb.Pooled) and again.seeds == (3, 1) and again.summary() == pooled.summary()
    assert bb.load(tmp_path / "seed-3").success.tolist() == [True, True, False, False]


def test_the_figure_shows_the_mean_and_every_seed() -> None:
    import matplotlib

    matplotlib.use("Agg")
    pooled = bb.pool([made(0, [2, 4, 0, 0]), made(1, [2, 0, 0, 0])])
    axes = pooled.plot(label="mine")
    assert len(axes.lines) == 3 and axes.lines[0].get_label() == "mine, 2 seeds"
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(37.5)
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 4, BUDGET] and axes.get_xlim()[1] > BUDGET
    assert [line.get_ydata()[-1] for line in axes.lines[1:]] == [50, 25]


def test_the_command_line_pools_seeds(said: Cli, tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text(
        "import torch\ndef bright(x):\n    over = x.flatten(1).mean(1) - 0.46\n    return torch.stack([-over, over], 1)\n"
    )
    np.savez(tmp_path / "grey.npz", images=np.full((3, 1, 4, 4), 0.45, np.float32), labels=np.zeros(3, np.int64))
    given = ["attack", "-t", "target.py:bright", "-d", "npz:grey.npz", "--classes", "2", "--eps", "0.1", "-b", "9", "-a", "square"]
    done = said(*given, "--seeds", "0,5", "--out", "run")
    assert done.returncode == 0, done.stderr
    pooled = bb.load(tmp_path / "run")
    assert pooled.seeds == (0, 5) and pooled.summary() in done.stdout
    alone = said(*given, "--seed", "5", "--out", "one")
    assert alone.returncode == 0 and torch.equal(bb.load(tmp_path / "one").x_adv, pooled.results[1].x_adv)
    assert (tmp_path / "run" / "curve.pdf").is_file()
    sentence(said(*given, "--seeds", "0,0"), 2, "different whole numbers")
    sentence(said(*given, "--seeds", "0,1", "--pick", "random"), 2, "same images")
    sentence(said(*given, "--seeds", "0,1", "--seed", "4"), 2, "either --seed or --seeds")
    sentence(said(*given, "--seeds", "0,1", "--out", "run"), 2, "another command")
    assert bb.load(tmp_path / "run").seeds == (0, 5)


def test_several_attacks_are_pooled_each(said: Cli, tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text(
        "import torch\ndef bright(x):\n    over = x.flatten(1).mean(1) - 0.46\n    return torch.stack([-over, over], 1)\n"
    )
    np.savez(tmp_path / "grey.npz", images=np.full((3, 1, 4, 4), 0.45, np.float32), labels=np.zeros(3, np.int64))
    given = ["attack", "-t", "target.py:bright", "-d", "npz:grey.npz", "--classes", "2", "--eps", "0.1", "-b", "9", "-a", "square,simba"]
    assert said(*given, "--seeds", "0,5", "--out", "run").returncode == 0
    both = bb.load(tmp_path / "run")
    assert sorted(both) == ["simba", "square"] and all(isinstance(b, bb.Pooled) and b.seeds == (0, 5) for b in both.values())
    (tmp_path / "run" / "simba" / "seeds.json").unlink()  # as after a kill before its last seed
    with pytest.raises(ValueError, match=r"simba.*same command"):
        bb.load(tmp_path / "run")

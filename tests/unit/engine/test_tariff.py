"""The tariff: prices, limits in money and flags kept to the query, and both bills of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import attacks
from blackbox.report import runs
from blackbox.report.pages import Page
from blackbox.report.sections import accounts
from blackbox.report.sections.common import items
from blackbox.targets import Answer
from blackbox.testing.priors import LinearPrior
from blackbox.testing.problems import affine_problem
from tests.toys import Differences

PROBLEM = affine_problem("L2", (3, 4, 4), 5, targeted=False)
CLASSES = len(PROBLEM.target.weight)


class Flagging:
    """Rejects each query whose sum is in an even hundredth, and keeps a book of its own: of each query the nearest image, and whether
    it was flagged or bad."""

    def __init__(self, often: int = 2, images: int = 5) -> None:
        self.often, self.x, self.book = often, PROBLEM.x[:images], list[Tensor]()

    def __call__(self, x: Tensor) -> Any:
        scores = PROBLEM.target(x)
        who = (x[:, None] - self.x[None]).flatten(2).norm(dim=2).argmin(1)
        clean = (x == self.x[who]).flatten(1).all(1)
        no = ((100 * x.flatten(1).sum(1)).long() % self.often == 0) & ~clean if self.often else torch.zeros(len(x), dtype=torch.bool)
        bad = (scores.argmax(1) == PROBLEM.y[who]) | no
        self.book.append(torch.stack([who, no, bad], 1))
        return Answer(scores.argmax(1), scores, no) if self.often else scores


def run(
    target: Any, attack: Any, tariff: bb.Tariff | None, eps: float = 0.02, budget: int = 200, access: str = "scores", **more: Any
) -> bb.AttackResult:
    oracle = bb.Oracle(target, access, CLASSES, returns="logits")
    x = getattr(target, "x", PROBLEM.x)
    return bb.attack(oracle, x, PROBLEM.y[: len(x)], attack, bb.L2(eps), budget, tariff=tariff, **more)


HYBRID = attacks.build("hybrid", prior=LinearPrior.of_problem(CLASSES))


@pytest.mark.parametrize("attack", ["square", Differences(), "hop-skip-jump", HYBRID], ids=["square", "probes", "labels", "hybrid"])
def test_the_bill_is_what_the_target_saw_and_no_image_costs_more_than_it_may(attack: Any) -> None:
    target = Flagging(images=1 if attack == "hop-skip-jump" else 5)  # it asks far away, where it cannot be told for which image
    prices = bb.Tariff(query=0.25, flagged=3, bad=0.5, gradient=0.125, most=60)
    r = run(target, attack, prices, votes=1)
    who, flagged, bad = torch.cat(target.book)[: int(r.queries.sum())].T  # what follows is the verification
    assert (len(who), flagged.sum(), bad.sum()) == (r.queries.sum(), r.flagged.sum(), r.bad.sum())
    each = torch.zeros(len(r), dtype=torch.float64).index_add_(0, who, 0.25 + 3.0 * flagged.double() + 0.5 * bad.double())
    assert r.money.equal(each)
    assert (r.money <= 60).all() and (r.money > 60 - prices.worst).all() and (r.flagged > 0).all()
    made = (r.config["prior"] or {"gradients": 0})["gradients"]
    assert r.bill.total == pytest.approx(float(r.money.sum()) + made / 8) and (made > 0) == ("Hybrid" in repr(attack))
    assert r.config["budget"] == 80 and set(r.status) == {bb.Status.BUDGET}


@pytest.mark.parametrize("attack", ["square", Differences()], ids=["square", "probes"])
def test_an_account_is_locked_out_at_the_flag_and_not_later(attack: Any) -> None:
    r = run(Flagging(), attack, bb.Tariff(query=1, lock_out=4))
    assert r.flagged.tolist() == [4] * 5 and (r.queries < 200).all()
    assert "5 images were locked out, after 4 flagged queries" in r.summary()


def test_a_tariff_without_a_limit_changes_nothing_but_the_bill() -> None:
    free, priced = (run(Flagging(), "square", t, eps=0.5) for t in (None, bb.Tariff(query=0.1, second=2)))
    assert all(getattr(free, name).equal(getattr(priced, name)) for name in ("success", "queries", "flagged", "bad", "x_adv"))
    assert free.config.keys() ^ priced.config.keys() == {"tariff", "flags"} and free.money.isnan().all() and not free.bill.total
    assert priced.bill.money["second"] == 2 * priced.config["seconds"]
    assert priced.bill.money["query"] == pytest.approx(0.1 * float(priced.queries.sum()))
    assert "second" not in priced.take([0, 1]).bill.money or not priced.take([0, 1]).bill.money["second"]  # of the whole run alone


def test_the_budget_is_what_the_money_buys() -> None:
    r = run(Flagging(0), "square", bb.Tariff(query=0.1, most=4.2))
    assert r.config["budget"] == 42 and r.queries.tolist() == [42] * 5
    assert r.mean_queries == 42
    r = run(Flagging(0), "square", bb.Tariff(query=0.1, bad=0.2, most=4.2))  # a failure is bad throughout
    assert r.config["budget"] == 14 and r.queries.tolist() == [14] * 5 and r.mean_queries == 14
    plenty = run(Flagging(0), "square", bb.Tariff(query=0.1, most=1e18))
    assert plenty.queries.equal(run(Flagging(0), "square", bb.Tariff(query=0.1)).queries) and plenty.queries.tolist() != [1] * 5
    assert run(Flagging(0), "square", bb.Tariff(query=1e-300, most=1e300)).queries.equal(plenty.queries)


def test_a_target_that_flags_nothing_is_said(tmp_path: Path) -> None:
    r = run(Flagging(0), "square", bb.Tariff(query=1, flagged=5), budget=20)
    assert "the price of flagged ones was never paid" in r.summary() and r.bill.total == 100
    assert "money            100 in all: 100 queries at 1, 0 flagged at 5; an attacked image cost 20" in r.summary()
    again = bb.AttackResult.load(r.save(tmp_path / "run"))
    assert again.bill == r.bill and [row["money"] for row in again.records()] == [20.0] * 5 == again.to_pandas()["money"].tolist()
    accounts.add(page := Page("Money"), items(runs.read_all([str(tmp_path / "run")])))
    assert "100 queries at 1, 0 flagged at 5" in page.markdown() and "| money |" in page.markdown()


def test_auto_is_stealthy_where_what_is_banned_is_dear() -> None:
    def ran(tariff: bb.Tariff | None, access: str = "labels", **more: Any) -> str:
        name: str = run(Flagging(0), "auto", tariff, budget=5, access=access, **more).config["attack"]
        return name

    dear = bb.Tariff(query=1, flagged=10)
    assert ran(dear) == ran(bb.Tariff(bad=1)) == "stealthy-hop-skip-jump"
    assert ran(dear, "scores") == ran(bb.Tariff(query=1, flagged=9)) == ran(None) == "auto"
    assert dear.search("auto", "L2", True, detects=True) == "auto" and dear.search("rays", "Linf", True, detects=False) == "rays"
    assert dear.search("auto", "Linf", True, detects=False) == "stealthy-rays" and dear.search("auto", "L1", True, False) == "auto"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"query": -1}, "price query to be a number of at least 0, but it was -1"), ({"second": float("nan")}, "price second"),
        ({"flagged": "2"}, "price flagged"), ({"lock_out": 0}, "lock_out"), ({"query": 2, "most": 1}, "most to pay for a query"),
        ({"most": 3}, "a price of a query with most=3"),
    ],
)  # fmt: skip
def test_no_tariff(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bb.Tariff(**wrong)


def test_what_is_no_tariff_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected a blackbox.Tariff"):
        run(Flagging(0), "square", {"query": 1})  # type: ignore[arg-type]

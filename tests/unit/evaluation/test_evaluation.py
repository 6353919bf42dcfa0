"""Evaluate: an affine model whose robust accuracy is known in closed form, at every level of access."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import blackbox as bb

D, N = 12, 20
W = torch.randn(2, D, generator=torch.Generator().manual_seed(1))


class Affine(nn.Module):
    """Two classes; the distance to the boundary in Linf is |margin| / ||w0 - w1||_1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(W.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) - 0.5) @ self.weight.T


X = 0.5 + 0.1 * (torch.rand(N, D, generator=torch.Generator().manual_seed(2)) - 0.5)
NET = Affine()
with torch.no_grad():
    SCORES = NET(X)
    Y = SCORES.argmax(1)
    REACH = (SCORES[:, 0] - SCORES[:, 1]).abs() / (W[0] - W[1]).abs().sum()
EPS = float(REACH.median()) * 1.001
FALL = int((REACH < EPS).sum())


def oracle(access: str) -> bb.Oracle:
    return bb.Oracle(NET, access, 2, rows_per_call=16)


def run(**more: object) -> bb.evaluation.Evaluation:  # type: ignore[name-defined]
    args: dict = {"nets": {"own": NET}, "white_box": NET, "budgets": (5, 60), "presets": ("fgsm",)} | more
    return bb.evaluate(oracle, X, Y, bb.Linf(EPS), **args)


def test_every_row_is_what_the_closed_form_says() -> None:
    found = run()
    # with the target's own gradients, every image within reach falls at the first step, and no other ever does
    for sees, budget, attack in [("nothing", 0, "fgsm from own"), ("labels", 60, "auto"), ("scores", 60, "auto")]:
        assert int(found.row(sees, budget, attack).wrong.sum()) == FALL, sees
    assert int(found.row("everything").wrong.sum()) == FALL
    assert found.row("nothing", 0, "none (clean images)").robust.value == 1.0
    assert str(found.recovered(found.row("scores", 60))) == str(bb.Rate(FALL, FALL)) and found.recovered(found.rows[0]).k == 0
    assert np.array_equal(found.row("scores", 60).wrong, (REACH < EPS).numpy())
    assert not found.notes


def test_what_falls_early_is_not_attacked_again() -> None:
    found = run(levels=("scores",))
    early, late = found.row("scores", 5), found.row("scores", 60)
    assert len(found.results["scores", 60]) == N - int(early.wrong.sum()) < N
    assert not bool((early.wrong & ~late.wrong).any()) and late.queries > early.queries
    assert early.queries == int(found.results["scores", 5].queries.sum())


def test_a_mislabelled_image_counts_as_wrong_everywhere() -> None:
    y = Y.clone()
    y[3] = 1 - y[3]
    found = bb.evaluate(
        lambda access: bb.Oracle(NET, access, 2, rows_per_call=16), X, y, bb.Linf(1e-4), budgets=(4,), nets={"own": NET},
        white_box=NET, presets=("fgsm",),
    )  # fmt: skip
    assert all(bool(r.wrong[3]) for r in found.rows) and found.rows[0].robust.k == N - 1


def test_misleading_gradients_are_noted() -> None:
    class Masked(Affine):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.detach() + 0 * x)  # right answers, no gradient worth the name

    found = run(white_box=Masked(), nets=None, levels=("scores",), budgets=(200,))
    assert any("mislead" in n for n in found.notes)


def test_saved_and_shown(tmp_path: Path) -> None:
    found = run()
    found.save(tmp_path / "e")
    body = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    last = next(r for r in body["rows"] if r["sees"] == "scores" and r["budget"] == 60)
    assert len(last["wrong"]) == FALL and last["robust"] == pytest.approx(1 - FALL / N)
    again = bb.AttackResult.load(tmp_path / "e" / "scores-5")
    assert torch.equal(again.success, found.results["scores", 5].success)
    assert "labels" in found.table() and "PGD" in found.table()


@pytest.mark.parametrize("eps", [EPS, 8 / 255, 0.5 / 255])
def test_read_back(eps: float, tmp_path: Path) -> None:
    found = run()
    found.threat = bb.Linf(eps)
    again = bb.evaluation.Evaluation.load(found.save(tmp_path / "e"))
    assert again.table() == found.table() and again.threat == found.threat and again.ids.tolist() == found.ids.tolist()
    for mine, theirs in zip(again.rows, found.rows, strict=True):
        assert mine.wrong.tolist() == theirs.wrong.tolist()
    body = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    del body["norm"], body["eps"]  # as earlier versions wrote it
    (tmp_path / "e" / "evaluation.json").write_text(json.dumps(body | {"threat": "L2 0.5"}))
    assert bb.evaluation.Evaluation.load(tmp_path / "e").threat == bb.L2(0.5)
    for damage in ("{", "[]", '{"rows": []}'):
        (tmp_path / "e" / "evaluation.json").write_text(damage)
        with pytest.raises(ValueError, match="Expected a saved evaluation in .*evaluation.json"):
            bb.evaluation.Evaluation.load(tmp_path / "e")


def test_what_is_said_after_a_failure_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At calls spread over all parts: each row agrees with the row of the evaluation that nothing cut off."""
    from blackbox.report import build, runs
    from blackbox.report.robustness import robustness
    from blackbox.testing import Failing

    def measured(call: int) -> tuple[bb.evaluation.Evaluation, int]:  # type: ignore[name-defined]
        target = Failing(NET, call)
        try:
            found = bb.evaluate(
                lambda access: bb.Oracle(target, access, 2, returns="logits", rows_per_call=7), X, Y, bb.Linf(EPS), nets={"own": NET},
                white_box=NET, budgets=(2, 3), levels=("scores",), presets=("fgsm",),
            )  # fmt: skip
        except bb.TargetError as error:
            found = error.result
        return found, target.calls

    monkeypatch.setattr("blackbox.evaluation.parts.CEILING_STEPS", 1)
    whole, calls = measured(0)
    cut_off = set()
    for call in range(1, calls + 1, 3):
        found, _ = measured(call)
        for row, true in zip(found.rows, whole.rows, strict=True):
            low, high = row.robust.bounds
            assert low <= true.robust.value <= high, (call, row, true)
            assert not bool((row.wrong & ~true.wrong).any()), (call, row.sees, row.attack)
            if row.unknown.any():
                cut_off.add((row.sees, row.attack, row.budget))
        assert found.complete or found.table().startswith("INCOMPLETE: "), call
    assert len(cut_off) == len(whole.rows), "the target must fail in every part"
    never, _ = measured(1)
    assert robustness(never, tmp_path / "none.svg") is None and not (tmp_path / "none.svg").exists()
    build.write([runs.read(never.save(tmp_path / "e"), "e")], tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "> INCOMPLETE: " in page and f"unknown (n = 0; {N} unknown)" in page and "nan" not in page


def test_a_report_does_not_take_what_smaller_budgets_left_standing_for_runs_of_their_own(tmp_path: Path) -> None:
    """The run with 60 queries alone has the images that 5 did not fool as its denominator: it is no rate of this model."""
    from blackbox.report import build, runs

    found = run(budgets=(5, 60))
    found.save(tmp_path / "e")
    (read,) = runs.read_all([tmp_path / "e"])
    assert read.evaluation is not None and not read.attacks and not read.empty and not read.problems
    (tmp_path / "r").mkdir()
    tables = build.write([read], tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text()
    assert tables == ["tables.tex"] and "Evaluations" in page and "Attacks by queries" not in page
    for row in found.rows:
        assert f"{row.robust.k}/{row.robust.n}" in page and f">{row.queries:,}<" in page
    (tmp_path / "e" / "evaluation.json").write_text("{")
    (broken,) = runs.read_all([tmp_path / "e"])
    assert broken.empty and len(broken.problems) == 1 and broken.problems[0].startswith("Expected a saved evaluation in")


def test_bad_budgets() -> None:
    for budgets in ((), (0,), (10, 5), (5, 5)):
        with pytest.raises(ValueError, match="ascending"):
            run(budgets=budgets)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"budgets": 5}, ValueError, r"budgets such as \[100, 1000\], but they were 5"),
        ({"budgets": [2.5]}, ValueError, "each budget to be a whole number, but it was 2.5"),
        ({"threat": 0.1}, TypeError, r"a threat such as blackbox.Linf\(8/255\), but it was 0.1"),
        ({"seed": None}, ValueError, "seed to be a whole number, but it was None"),
        ({"oracle": oracle("labels")}, TypeError, "a function from an access level to an Oracle, .*Give lambda access"),
    ],
)
def test_what_is_none_of_these(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        bb.evaluate(**{"oracle": oracle, "x": X, "y": Y, "threat": bb.Linf(EPS), "budgets": (5,), **change})


# -- the white-box ensemble --------------------------------------------------------------------------------------


def test_the_ceiling_is_an_ensemble_and_says_what_it_spent(tmp_path: Path) -> None:
    found = run(nets=None, levels=("scores",), budgets=(2,), ceiling={"steps": 4, "starts": 1})
    row = found.row("everything")
    assert row.attack == "white-box ensemble: PGD × 1, APGD-CE, APGD-DLR, APGD-T × 3, 4 steps"
    assert int(row.wrong.sum()) == FALL and row.queries == N + 2 * (N - FALL)  # of two classes no other can be walked to
    assert found.white_box.startswith(f"broken by PGD {FALL}; ") and found.white_box in found.table()
    assert bb.evaluation.Evaluation.load(found.save(tmp_path)).white_box == found.white_box


def test_the_target_decides_and_not_the_net_that_stands_for_it() -> None:
    """A net that is wrong everywhere would have the whole of the images fooled."""

    class Wrong(Affine):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -super().forward(x)

    found = run(white_box=Wrong(), nets=None, levels=("scores",), budgets=(2,), ceiling={"steps": 4})
    assert not bool((found.row("everything").wrong & (REACH >= EPS).numpy()).any())


def test_a_journal_keeps_what_the_ceiling_has_asked(tmp_path: Path) -> None:
    from blackbox.testing import Failing

    def go(target: Any, journal: str) -> tuple[bb.evaluation.Evaluation, int]:  # type: ignore[name-defined]
        found = bb.evaluate(
            lambda access: bb.Oracle(target, access, 2, returns="logits", rows_per_call=4), X, Y, bb.Linf(EPS), white_box=NET,
            budgets=(2,), levels=("scores",), ceiling={"steps": 2}, journal=tmp_path / journal,
        )  # fmt: skip
        return found, target.calls

    whole, calls = go(Failing(NET, 0), "whole")
    with pytest.raises(bb.TargetError) as cut_off:
        go(Failing(NET, calls - 1), "cut")
    row = cut_off.value.result.row("everything")  # type: ignore[attr-defined]
    assert row.unknown.any() and row.wrong.any() and not bool((row.wrong & row.unknown).any())
    again, more = go(Failing(NET, 0), "cut")
    assert more < calls / 2 and again.row("everything").queries == whole.row("everything").queries
    assert np.array_equal(again.row("everything").wrong, whole.row("everything").wrong) and again.white_box == whole.white_box


@pytest.mark.parametrize("threat", [bb.L0(2), bb.L2(float("inf"))], ids=str)
def test_where_nothing_can_be_crafted_there_is_no_ceiling(threat: bb.Threat) -> None:
    found = bb.evaluate(oracle, X[:3].view(3, 3, 2, 2), Y[:3], threat, white_box=NET, budgets=(2,), levels=("scores",))
    assert all(r.sees != "everything" for r in found.rows) and any("no white-box row" in n for n in found.notes)


@pytest.mark.parametrize(("given", "words"), [({"step": 3}, "steps, starts, classes.*'step'"), ({"starts": 0}, "starts of the ceiling")])
def test_settings_of_the_ceiling_are_checked_before_anything_is_asked(given: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=f"Expected.*{words}"):
        run(ceiling=given)


def test_an_evaluation_of_before_the_ensemble_opens_and_keeps_its_gate(tmp_path: Path) -> None:
    from blackbox.evaluation import gate
    from blackbox.report.robustness import robustness

    found = run(nets=None, levels=("scores",), budgets=(2,), ceiling={"steps": 2})
    body = json.loads((found.save(tmp_path / "e") / "evaluation.json").read_text())
    del body["white_box"]
    body["rows"][-1]["attack"] = "PGD, 50 steps on the target itself"
    (tmp_path / "e" / "evaluation.json").write_text(json.dumps(body))
    old = bb.evaluation.Evaluation.load(tmp_path / "e")
    for one, called in ((old, "white-box PGD"), (found, "white-box ensemble")):
        low = gate.check(one, [gate.Bar("white-box", None, 0.0)])
        assert low.state == "pass" and str(one.row("everything").robust) in low.checks[0].says
        assert gate.check(one, [gate.Bar("clean", None, 1.0)]).state == "pass"
        assert called in (robustness(one, tmp_path / f"{called}.svg") or tmp_path).read_text()


def test_nearness_is_in_rows_table_page_and_file(tmp_path: Path) -> None:
    found = run(levels=("scores",))
    (_, early, _), (_, late, beyond) = found.nearness()
    assert (late.k, late.n, beyond) == (FALL, FALL, 0) and early.n == FALL and early.k == int(found.row("scores", 5).wrong.sum())
    assert f"of the {FALL} images that the white-box ensemble fools" in found.table() and f"60 queries: {late}" in found.table()
    from blackbox.report import build, runs

    build.write_own(runs.own(found.save(tmp_path), evaluation=found), "e", found.table(), lambda page: None)
    assert "Nearness to the limit" in (tmp_path / "report.md").read_text()
    body = json.loads((tmp_path / "evaluation.json").read_text())
    told = next(r for r in body["rows"] if r["budget"] == 60)["nearness"]
    assert (told["k"], told["n"], told["share"], told["beyond"]) == (FALL, FALL, 1.0, 0)
    assert not run(levels=("scores",), white_box=None, budgets=(2,)).near()


def test_a_search_beyond_the_limit_is_said_and_no_share_exceeds_it() -> None:
    class Masked(Affine):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.detach() + 0 * x)

    found = run(white_box=Masked(), nets=None, levels=("scores",), budgets=(60,))
    ((row, share, beyond),) = found.nearness()
    assert beyond == int((row.wrong & ~found.row("everything").wrong).sum()) > 0 and not share.k > share.n
    assert f"and {beyond} images that the white-box attacks do not: the gradients mislead" in found.table()


def test_a_model_without_gradients_is_told_that_it_has_no_limit_and_keeps_the_rest() -> None:
    class Cut(Affine):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return super().forward(x)

    for model, told in ((Cut(), "no white-box row: Expected"), (object(), "a torch module, and the model is a object")):
        found = run(white_box=model, nets=None, levels=("scores",), budgets=(3,))
        assert found.complete and not found.nearness() and [n for n in found.notes if told in n] == found.notes
    found = run(white_box=None, ceiling={"steps": 2}, nets=None, levels=("scores",), budgets=(3,))
    assert "no model with gradients" in found.notes[0]

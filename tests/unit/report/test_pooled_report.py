"""Several seeds in a report: pooled rates worked out by hand, one curve, and pictures and tables for a paper."""

from __future__ import annotations

from pathlib import Path

import pytest

import blackbox as bb
from blackbox.report import build, latex, runs, style
from blackbox.report.pages import Page
from blackbox.statistics import Rate
from tests.commands import Cli, sentence
from tests.saved_runs import made


def test_seeds_are_pooled(tmp_path: Path) -> None:
    """Of four images 2, 1 and 3 are fooled: 6 of 12, 25 to 75 % by seed."""
    each = [made(first, seed=s) for s, first in enumerate(([2, 4, 0, 0], [2, 0, 0, 0], [2, 4, 6, 0]))]
    bb.pool(each).save(tmp_path / "s")
    (found,) = runs.read_all([tmp_path])
    assert list(found.pooled) == [""] and [found.again(name) for name in found.attacks] == [False, True, True]
    (tmp_path / "out").mkdir()
    with style.formats(["pdf"]):
        written = build.write([found], tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text().replace("\u00a0", " ")
    line = next(li for li in page.splitlines() if li.startswith("| s | square |"))
    assert "| 50 % [" in line and "(3 seeds × 4 images) | 25 to 75 | 50 % [" in line and "0, 1, 2" in line
    assert "**With scores alone, 100 queries an image cut accuracy from 100 % to 50 % [" in page and "(square, 3 seeds).**" in page
    assert page.count("![") == 1 and "image by image" not in page, "one curve for all seeds, and no test of one against another"
    assert (tmp_path / "out" / "seeds-s.pdf").read_bytes().startswith(b"%PDF") and latex.FILE in written
    assert "3 seeds $\\times$ 4 images" in (tmp_path / "out" / latex.FILE).read_text()


def test_seeds_with_unknown_images_have_no_headline(tmp_path: Path) -> None:
    from blackbox.protocol import Status
    from blackbox.report import headline

    cut = made([2, 0], seed=1)
    object.__setattr__(cut, "status", (Status.SUCCESS, Status.ERROR))
    pooled = bb.pool([made([2, 0], seed=0), cut])
    assert pooled.unknown == 1 and headline.seeds(pooled) == ""


def test_tables_for_a_paper() -> None:
    page = Page("x")
    page.table(["Run", "Fooled, %", "A_b"], [["a_1", Rate(3, 20), "2"]], "Of 100 %")
    text = latex.latex(page.blocks[0])
    assert r"\toprule" in text and r"\begin{tabular}{lrr}" in text and r"\caption{Of 100 \%}" in text
    assert r"a\_1 & 15 \% [5, 36] (3/20) & 2 \\" in text and r"Run & Fooled, \% & A\_b \\" in text


def test_a_format_that_cannot_be(said: Cli) -> None:
    out = said("report", "nowhere", "--figures", "pdf,gif")
    sentence(out, 2, "Expected figures as pdf, svg, png", "gif")
    with pytest.raises(ValueError, match="gif"), style.formats(["gif"]):
        pass


def test_a_sweep_with_several_seeds_has_a_pooled_line() -> None:
    """Of four images, all right when clean, one seed fools two and the other one; the last image is known with the first alone."""
    import numpy as np

    from blackbox.report.sections.seeds import percent
    from blackbox.sweep import Plan, Study, Table

    study = Study(attack={"targets": "digits:knn", "attacks": "square", "threats": "linf:0.1", "budgets": 9, "seeds": [0, 1]})
    plan = Plan(study, 4, {})

    def column(fooled: list[int]) -> dict[str, np.ndarray]:
        hit = np.array(fooled) > 0
        return {"success": hit, "attacked": hit | True, "ids": np.arange(len(hit)), "queries": 9 - hit, "y": 0 * hit}

    whole = Table(plan, dict(zip(plan.points, (column([1, 1, 0, 0]), column([0, 1, 0, 0])), strict=True)), {}, 2, 2)
    (points,) = whole.several().values()
    assert percent(whole.pooled(points)).replace("\u00a0", " ").startswith("38 % [") and whole.by_seed(points) == "25 to 50"
    line = next(li for li in str(whole).splitlines() if "2 pooled" in li)
    assert "38 [" in line and "], by seed 25 to 50" in line and line.endswith(" 4") and "the interval is over images" in str(whole)
    half = Table(plan, dict(zip(plan.points, (column([1, 1, 0, 0]), column([0, 1])), strict=True)), {}, 2, 2)
    assert half.pooled(points).value == 3 / 4 and half.by_seed(points) == "50 to 50; 1 of 2 incomplete"
    none = Table(plan, dict(zip(plan.points, (column([1, 1, 0, 0]), {}), strict=True)), {}, 1, 2)
    assert not none.pooled(points).n and "unknown, by seed 50 to 50; 1 of 2 incomplete" in str(none)

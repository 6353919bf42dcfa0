"""The demo: through a real subprocess, its numbers against its own raw outcomes, and twice the same."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.commands import run

RAW = ("outcomes-transfer.csv", "outcomes-queries.csv", "rates-transfer.csv", "summary.txt")


def rows(path: Path) -> list[dict[str, str]]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_folder_is_complete(demo: tuple[str, Path]) -> None:
    _, folder = demo
    for name in (
        *RAW,
        "report.html",
        "report.md",
        "transfer.png",
        "curve.png",
        "examples.png",
        "transfer.npz",
        "run.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    made = json.loads((folder / "run.json").read_text())
    assert made["settings"]["eps"] == 0.2 and made["settings"]["label_queries"] == 1600
    page = (folder / "report.html").read_text()
    assert "src=\"data:" in page and not re.findall(r'src="(?!data:)', page)
    assert '<p class="headline">With scores alone, 250 queries an image cut accuracy from ' in page
    assert '<p class="headline">Examples crafted on ' in page and page.count("<details>") == page.count("<pre>") - 1 == 1


def test_transfer_table_follows_from_the_raw_outcomes(demo: tuple[str, Path]) -> None:
    from blackbox.cli.demo_text import NOISE
    from blackbox.plain_text import cell
    from blackbox.statistics import Rate

    printed, folder = demo
    found = rows(folder / "outcomes-transfer.csv")
    targets = list(dict.fromkeys(r["target"] for r in found))
    assert targets == ["cnn", "mlp", "logreg", "svm-rbf", "forest", "knn"]
    assert len(found) == 497 * 6 * 5
    for attack, name in {**NOISE, "fgsm": "FGSM", "i-fgsm": "I-FGSM", "mi-fgsm": "MI-FGSM"}.items():
        line = next(li for li in printed.splitlines() if li.startswith(name + " "))
        cells = []
        for target in targets:
            mine = [r for r in found if r["target"] == target and r["attack"] == attack and r["clean"] == r["label"]]
            cells.append(cell(Rate(sum(r["named"] != r["label"] for r in mine), len(mine))))
        assert re.split(r"\s{2,}", line)[1:] == cells


def test_query_table_follows_from_the_raw_outcomes(demo: tuple[str, Path]) -> None:
    from blackbox.plain_text import cell
    from blackbox.statistics import Rate

    printed, folder = demo
    found = rows(folder / "outcomes-queries.csv")
    names = list(dict.fromkeys(r["attack"] for r in found))
    assert names[0] == "fd-fgsm, full" and "square" in names
    for name in names:
        mine = [r for r in found if r["attack"] == name]
        tried = [r for r in mine if r["status"] != "clean_wrong"]
        fooled = sum(r["success"] == "True" for r in tried)
        spent = [int(r["queries"]) for r in tried]
        line = re.split(r"\s{2,}", next(li for li in printed.splitlines() if li.startswith(name + "  ")))
        assert line[1] == cell(Rate(fooled, len(tried)))
        assert line[2] == f"{sum(spent) / len(spent):.1f}"
        assert line[5] == f"{sum(int(r['queries']) for r in mine):,}"
        assert max(spent) <= 500


def test_the_story_holds(demo: tuple[str, Path]) -> None:
    """Crafted examples beat noise of the same size on every target; PCA is cheaper than the full difference."""
    _, folder = demo
    rates = {
        (r["attack"], r["target"]): float(r["rate"])
        for r in rows(folder / "rates-transfer.csv")
        if r["given"] == "target-correct"
    }
    lows = {
        (r["attack"], r["target"]): float(r["low"])
        for r in rows(folder / "rates-transfer.csv")
        if r["given"] == "target-correct"
    }
    for target in ("cnn", "mlp", "logreg", "svm-rbf", "forest", "knn"):
        assert lows["mi-fgsm", target] > max(rates["linf", target], rates["rms", target])
    found = rows(folder / "outcomes-queries.csv")
    bill = {name: sum(int(r["queries"]) for r in found if r["attack"] == name) for name in {r["attack"] for r in found}}
    assert bill["fd-fgsm, full"] > 3 * bill["fd-fgsm, PCA"]


def test_more_attacks_join_the_query_table_and_the_figure(tmp_path: Path) -> None:
    """Each with the access and, where it does not serve Linf, the norm that it needs."""
    from blackbox.cli import demo, demo_text

    settings = demo.Settings(
        more=("rays", "boundary", "sparse", "nes"), images=12, budget=90, label_queries=400, epochs=1
    )
    with demo.one_thread():
        outcome = demo.measure(settings, quiet=True)
        demo.write(outcome, tmp_path)
    names = ["rays, labels", "boundary, labels, L2 1", "sparse, L0 5", "nes"]
    assert list(outcome.queries)[5:] == names
    for name, shows in zip(names, ["labels", "labels", "scores", "scores"], strict=True):
        assert outcome.queries[name].config["access"] == shows
    table = demo_text.queries(outcome)
    assert (
        all(re.search(rf"^{re.escape(name)}  ", table, re.MULTILINE) for name in names) and "sees labels only" in table
    )
    found = {row["attack"] for row in rows(tmp_path / "outcomes-queries.csv")}
    assert found >= set(names)
    assert (tmp_path / "curve.png").stat().st_size > 0
    assert (tmp_path / "queries" / "boundary-labels-L2-1" / "outcomes.csv").exists()


def test_what_is_no_attack_stops_the_demo_before_it_begins(tmp_path: Path) -> None:
    out = run("demo", "--attacks", "rays,squre", "--out", "r", cwd=tmp_path)
    assert out.returncode == 2 and "Did you mean 'square'" in out.stderr and not (tmp_path / "r").exists()


@pytest.mark.slow
def test_every_attack_can_join(tmp_path: Path) -> None:
    from blackbox import attacks

    out = run("demo", "--all", "--out", "r", cwd=tmp_path, timeout=1200)
    assert out.returncode == 0, out.stderr
    found = {row["attack"].partition(",")[0] for row in rows(tmp_path / "r" / "outcomes-queries.csv")}
    assert found == set(attacks.names())


@pytest.mark.slow
def test_two_runs_are_identical(demo: tuple[str, Path], tmp_path: Path) -> None:
    printed, folder = demo
    again = run("demo", "--out", "r", cwd=tmp_path)
    assert again.stdout == printed
    for name in RAW:
        assert (tmp_path / "r" / name).read_bytes() == (folder / name).read_bytes(), name

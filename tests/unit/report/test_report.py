"""`blackbox report`: known numbers on the page and in the tables, and one sentence for each thing that is wrong."""

from __future__ import annotations

import csv
import json
import math
import re
import sqlite3
from pathlib import Path

import numpy as np
import torch

import blackbox as bb
from blackbox.report import build, gallery, tables
from blackbox.report import runs as saved_runs
from blackbox.report.pages import Page
from blackbox.report.sections import common, comparison
from blackbox.statistics import Rate
from tests.commands import Cli
from tests.saved_runs import made, matrix, saved


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def text(path: Path) -> str:
    """What a reader sees of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", path.read_text()))


def test_the_page_needs_nothing_beside_it_and_says_what_is_known(said: Cli, runs: Path, tmp_path: Path) -> None:
    out = said("report", str(runs), "--out", "r", "--against", "one")
    assert out.returncode == 0 and out.stderr == "", out.stderr
    page = (tmp_path / "r" / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page and "@import" not in page
    seen = text(tmp_path / "r" / "report.html")
    for words in (
        str(Rate(3, 5)).partition(" (")[0], "3/5", "2/5",
        "blackbox attack --out one", "zero → one", "one, 60 %", "zero, 90 %", "×2.5", "query 3", "Linf 0.1", "Linf 0.2",
        "How each image ended", "a 12, b 12",
    ):  # fmt: skip
        assert words in seen, words
    markdown = (tmp_path / "r" / "report.md").read_text()
    for name in re.findall(r"\]\(([^)]+)\)", markdown):
        assert (tmp_path / "r" / name).stat().st_size > 0, name
    assert str(Rate(3, 5)) in markdown


def test_tables_hold_the_counts(runs: Path, tmp_path: Path) -> None:
    tables.write(saved_runs.read_all([runs]), tmp_path)
    one, two = rows(tmp_path / "attacks.csv")
    assert (one["run"], one["fooled_k"], one["fooled_n"], one["clean_k"], one["images"]) == ("one", "3", "5", "5", "6")
    assert float(one["mean_queries"]) == (3 + 8 + 20 + 100 + 100) / 5 and int(one["spent"]) == 3 + 8 + 20 + 200 + 1
    assert (two["run"], two["fooled_k"], two["eps"]) == ("two", "2", "0.1")
    assert len(rows(tmp_path / "outcomes.csv")) == 12
    at = {(r["run"], r["queries"]): (r["k"], r["n"]) for r in rows(tmp_path / "curves.csv")}
    assert at["one", "8"] == ("2", "5") and at["one", "7"] == ("1", "5") and at["two", "100"] == ("2", "5")
    cells = {(r["target"], r["eps"], r["given"]): r["k"] for r in rows(tmp_path / "transfer.csv") if r["source"] == "s"}
    assert [cells[t, e, "all"] for t, e in (("a", "0.1"), ("a", "0.2"), ("b", "0.2"))] == ["1", "3", "2"]


def test_an_attack_that_was_not_run_is_named(tmp_path: Path) -> None:
    """Of several attacks the second was not begun when the target failed in the first."""
    saved(tmp_path / "r" / "square", made([3, 0]))
    told = {"settings": {"verb": "attack", "parameters": {"square": {"p": 1}, "simba": {"step": 2}}}}
    (tmp_path / "r" / "run.json").write_text(json.dumps(told))
    (run,) = saved_runs.read_all([tmp_path / "r"])
    assert list(run.attacks) == ["square"] and run.not_run == ["simba"] and not run.problems
    build.write([run], tmp_path)
    assert "> INCOMPLETE: r: simba was not run" in (tmp_path / "report.md").read_text()


def test_parquet_says_the_same(runs: Path, tmp_path: Path) -> None:
    import pandas

    tables.write(saved_runs.read_all([runs]), tmp_path)
    read = pandas.read_parquet(tmp_path / "attacks.parquet")
    assert read["fooled_k"].tolist() == [3, 2] and read["eps"].tolist() == [0.2, 0.1]


def test_pairs_are_found_by_the_images_themselves() -> None:
    first = made([3, 8, 20, 0, 0, 0], wrong=[5])
    mine, theirs, remark = comparison.shared(first, made([5, 0, 0, 9], ids=[4, 2, 7, 0]))
    assert first.ids[mine].tolist() == [0, 2, 4] and theirs.tolist() == [3, 1, 0] and not remark
    other = made([5, 5], prints=torch.tensor([1, 2]))
    assert not len(comparison.shared(first, other)[0]), "the same numbers of other images"
    old = made([5, 5, 0], prints=torch.zeros(3, dtype=torch.int64))
    mine, _, remark = comparison.shared(first, old)
    assert len(mine) == 3 and "no hash" in remark


def test_paired_counts_stand_in_the_table(runs: Path) -> None:
    """Fooled: 0, 1, 2 against 0, 4 of the five that both attacked: one alone 2, other alone 1, McNemar p = 1."""
    page, found = Page("x"), saved_runs.read_all([runs])
    chosen = common.items(found)
    comparison.add(page, found, chosen, chosen[0])
    line = next(li for li in page.markdown().splitlines() if li.startswith("| two | Linf 0.1 |"))
    assert [c.strip() for c in line.split("|")[3:10]] == ["5", "100", "3", "2", "2", "1", "1.000"]


def test_no_test_between_a_radius_and_none(runs: Path) -> None:
    saved(runs / "free", made([1, 1, 1, 1, 1, 0], wrong=[5], eps=math.inf))
    page, found = Page("x"), saved_runs.read_all([runs / "one", runs / "free"])
    comparison.add(page, found, common.items(found), common.items(found)[0])
    assert "not compared: free" in page.markdown() and "| free |" not in page.markdown().partition("image by image")[2]


def test_settings_that_differ() -> None:
    def run(name: str, **settings: object) -> saved_runs.Run:
        return saved_runs.Run(name, Path(name), {"settings": settings})

    a = run("a", attack="square", parameters={"p_init": 0.8}, threat={"eps": 0.1}, n=5)
    b = run("b", attack="square,nes", parameters={"square": {"p_init": 0.8}, "nes": {"step": 1}}, threat={"eps": 0.2}, n=5)
    assert comparison.settings([a, b]) == {"attack": ["square", "square,nes"], "threat.eps": ["0.1", "0.2"]}
    c = run("c", attack="square", parameters={"p_init": 0.1}, threat={"eps": 0.1}, n=5)
    assert comparison.settings([a, c]) == {"set square.p_init": ["0.8", "0.1"]}


def test_names_of_lines_are_as_short_as_they_can_be() -> None:
    def item(run: str, **how: object) -> common.Item:
        return common.Item(saved_runs.Run(run, Path(run)), "", made([1], **how))  # type: ignore[arg-type]

    assert common.short([item("a"), item("b", attack="nes")]) == ["square", "nes"]
    assert common.short([item("a"), item("b", eps=0.1)]) == ["square, Linf 0.2", "square, Linf 0.1"]
    assert common.short([item("a"), item("b")]) == ["square, a", "square, b"]
    assert saved_runs.names([Path("/x/a/1"), Path("/x/b/1"), Path("/x/b/2")]) == ["a/1", "b/1", "2"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def another_version(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file(load_file(file), file, {"format": "blackbox-result-9"})


def sweep(folder: Path, version: str = "1") -> None:
    from blackbox.sweep import Store

    Store(folder / "store.sqlite").close()
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("UPDATE head SET value = ?", (version,))
    study = '[attack]\ntargets = "digits:knn"\nattacks = "square"\nthreats = "linf:0.1"\nbudgets = 5\n'
    (folder / "study.toml").write_text(study)


def test_each_fault_is_one_sentence_and_the_rest_is_reported(said: Cli, runs: Path) -> None:
    expected = {
        "nowhere": "is not there",
        "two/outcomes.csv": "is a file",
        "empty": "holds nothing of any",
        "version": "blackbox-result-9",
        "settings": "Expected JSON in",
        "config": "it could not be read: JSONDecodeError",
        "examples": "examples.safetensors cannot be read",
        "npz": "Expected a saved transfer matrix",
        "json": "Expected a saved transfer matrix",
        "store": "no cell of the sweep is done",
        "old": "version 99",
        "scrap": "file is not a database",
        "began": "did it end early?",
    }
    for name in expected:
        if name not in ("nowhere", "two/outcomes.csv"):
            (runs / name).mkdir()
    for name in ("version", "settings", "config", "examples"):
        saved(runs / name, made([3, 0]))
    another_version(runs / "version" / "examples.safetensors")
    cut(runs / "config" / "config.json")
    cut(runs / "settings" / "run.json")
    cut(runs / "examples" / "examples.safetensors")
    matrix().save(runs / "npz")
    matrix().save(runs / "json")
    cut(runs / "npz" / "transfer.npz")
    cut(runs / "json" / "transfer.json")
    sweep(runs / "store")
    sweep(runs / "old", "99")
    sweep(runs / "scrap")
    (runs / "scrap" / "store.sqlite").write_bytes(b"no database" * 999)
    (runs / "began" / "run.json").write_text('{"settings": {"verb": "attack"}}')

    out = said("report", str(runs / "two"), *(str(runs / name) for name in expected), "--out", "r")
    assert out.returncode == 2 and "Traceback" not in out.stderr and "2 of 14 runs" in out.stdout, out.stderr
    *lines, last = out.stderr.strip().splitlines()
    assert len(lines) == len(expected) and "13 of the parts could not be read" in last
    for (name, words), line in zip(expected.items(), lines, strict=True):
        assert words in line and name in line and line.startswith("Expected"), (name, line)
    seen = text(Path("r/report.html"))
    assert all(words in seen for words in expected.values())
    assert [r["run"] for r in rows(Path("r/attacks.csv"))] == ["two", "settings"], "outcomes are not lost with the settings"


def test_where_no_report_can_be_written(said: Cli, runs: Path) -> None:
    before = (runs / "one" / "outcomes.csv").read_bytes()
    for where, words in (
        (runs / "one", "would be overwritten"),
        (runs / "one" / "run.json", "Expected --out to be a folder"),
        (runs / "one" / "run.json" / "r", "Not a directory"),
    ):
        out = said("report", str(runs / "two"), "--out", str(where))
        assert out.returncode == 2 and words in out.stderr and len(out.stderr.strip().splitlines()) == 1, out.stderr
    assert (runs / "one" / "outcomes.csv").read_bytes() == before


def test_nothing_to_report_on(said: Cli, runs: Path) -> None:
    out = said("report", str(runs), "--against", "three", "--out", "r")
    assert out.returncode == 2 and "one, two" in out.stderr and not Path("r").exists()
    out = said("report", "nowhere", "--out", "r")
    assert out.returncode == 2 and "nowhere is not there" in out.stderr and not Path("r").exists()


def test_images_that_belong_to_other_outcomes_are_not_shown(tmp_path: Path) -> None:
    folder = saved(tmp_path / "one", made([3, 8, 0]))
    made([0, 0, 5]).save(folder)
    build.write(saved_runs.read_all([folder]), tmp_path)
    assert "do not belong" in text(tmp_path / "report.html")


def test_amplified_difference() -> None:
    change = np.zeros((3, 2, 2), np.float32)
    change[0, 0, 0], change[1, 1, 1] = 0.1, -0.05
    drawn = gallery.amplified(change)
    assert drawn[0, 0].tolist() == [255, 128, 128] and drawn[1, 1].tolist() == [128, 64, 128]
    from blackbox.report.sections.answers import factor

    assert factor(change) == "×5" and factor(0 * change) == "no change"


def test_a_sweep_becomes_a_matrix_and_results() -> None:
    """The columns of cells, one block missing at one target: its images are in no rate."""
    from blackbox.sweep import Plan, Study, Table, views

    study = Study(
        attack={"targets": "digits:knn", "attacks": "square", "threats": "linf:0.1", "budgets": 9, "channels": ["topk:3"]},
        transfer={"sources": "s", "targets": ["a", "b"], "presets": "fgsm", "threats": ["linf:0.1", "linf:0.2"]},
    )
    plan, known = Plan(study, 4, {}), matrix()
    ask, *moves = plan.points
    n = np.arange(4)
    base = {"y": n * 0, "ids": n, "clean_source": n * 0, "clean_target": n * 0, "adv_source": n * 0 + 1}
    outcomes = {}
    for point in moves:
        e, t = study.transfer.threats.index(point.threat), study.transfer.targets.index(point.target)  # type: ignore[union-attr]
        found = base | {
            "adv_target": known.adv_target[0, 0, e, t], "linf": np.full(4, 0.1), "l2": np.full(4, 0.3),
            "noise_target": np.zeros((4, 2), np.int64),
        }  # fmt: skip
        outcomes[point] = {name: col[:2] for name, col in found.items()} if point.target == "b" else found
    first = np.array([0, 3, 9, 0])
    outcomes[ask] = {
        "success": first > 0, "queries": np.array([1, 3, 9, 9]), "first_success_query": first, "distance": np.full(4, 0.1),
        "loss": n * 0.0, "clean_loss": n * 0.0, "clean_label": n * 0, "verified": (first > 0).astype(np.int8), "y": n * 0,
        "goal": n * 0, "ids": n, "success_float": first > 0, "attacked": n > 0,
    }  # fmt: skip
    table = Table(plan, outcomes, {}, 5, 5)
    got = views.matrix(table, 0)
    assert got is not None and [got.rate("s", "a", "fgsm", t).k for t in got.threats] == [1, 3]
    assert str(got.rate("s", "b", "fgsm", bb.Linf(0.2))).endswith("(2/2; 2 unknown: between 50 and 100 %)")
    assert got.noise_rate("a", bb.Linf(0.1), "linf").n == 4
    result = views.result(table, ask)
    assert result is not None and (result.success_rate.k, result.success_rate.n) == (2, 3) and result.mean_queries == 7
    assert result.config["access"] == "topk:3", "what the channels leave"


def test_run_json_is_no_longer_needed_for_a_result_from_python(tmp_path: Path) -> None:
    made([3, 0]).save(tmp_path / "mine")
    build.write(saved_runs.read_all([tmp_path / "mine"]), tmp_path)
    seen = text(tmp_path / "report.html")
    assert "Saved from Python, without a command: mine." in seen and torch.__version__.partition("+")[0] in seen
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["environment"]["versions"]["torch"]

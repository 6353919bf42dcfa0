"""Folders of runs, whole and broken."""

from __future__ import annotations

import json

import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox.app import draw, saved
from blackbox.sweep import Study


@pytest.fixture
def folder(tmp_path):
    x = torch.full((5, 1, 4, 4), 0.5)
    oracle = bb.Oracle(lambda v: torch.stack([v.flatten(1).sum(1), torch.full((len(v),), 8.2)], 1), classes=2)
    result = bb.attack(oracle, x, torch.ones(5, dtype=torch.long), "square", bb.Linf(0.1), 50)
    result.save(tmp_path / "run")
    return tmp_path / "run", result


def test_a_result_saved_from_python(folder):
    path, result = folder
    made = saved.opened(path)
    assert made.summary.strip() == result.summary() and made.total == 5 and len(made.rows) == 5
    assert made.head[0] in {"success", "queries", "ids"} and len(made.examples) == 5
    assert torch.equal(made.examples[0][0], result.x_adv[0])
    assert "class 1" in made.examples[0][1] and "queries" in made.examples[0][1]
    html = draw.run(made)
    assert html.count("data:image/png;base64,") == 5 and "attack success" in html


def test_a_run_whose_target_failed_says_first_that_it_is_incomplete(tmp_path):
    calls = []

    def fails(v):
        calls.append(len(v))
        if len(calls) > 3:
            raise RuntimeError("line cut")
        return torch.stack([v.flatten(1).sum(1), torch.full((len(v),), 8.2)], 1)

    x = torch.full((5, 1, 4, 4), 0.5)
    with pytest.raises(bb.TargetError) as caught:
        bb.attack(bb.Oracle(fails, classes=2), x, torch.ones(5, dtype=torch.long), "square", bb.Linf(0.001), 50)
    result = caught.value.result
    result.save(tmp_path)
    made = saved.opened(tmp_path)
    assert made.incomplete.startswith("INCOMPLETE: 5 of 5 images are unknown") and "INCOMPLETE" not in made.summary
    assert draw.run(made).index("INCOMPLETE: 5 of 5") < draw.run(made).index("attack success")
    assert all(caption.endswith("not known") for _, caption in made.examples)
    (tmp_path / "summary.txt").write_text("robust accuracy 100 %\n")  # of a version that counted the unknown as robust
    assert saved.opened(tmp_path).incomplete == made.incomplete and "100 % (5" not in saved.opened(tmp_path).summary


def test_what_a_run_says_of_itself_is_escaped(folder):
    path, _ = folder
    (path / "run.json").write_text(json.dumps({"command": "blackbox attack <b>", "settings": {"verb": "attack"}}))
    (path / "summary.txt").write_text("<script>alert(1)</script>")
    html = draw.run(saved.opened(path))
    assert "<script>" not in html and "$ blackbox attack &lt;b&gt;" in html


def test_runs_are_found_newest_first(tmp_path):
    import os

    for when, name in ((3, "new"), (1, "old"), (2, "study/inner")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
        os.utime(tmp_path / name / "run.json", (when, when))
    (tmp_path / "no-run").mkdir()
    assert saved.found(tmp_path) == [str(tmp_path / n) for n in ("new", "study/inner", "old")]
    assert saved.found(tmp_path / "nowhere") == []


def test_a_transfer_run(tmp_path):
    data = sg.split(sg.load("digits"), {"own": 100, "attacked": 20}, seed=0)
    net = sg.build("mlp", classes=10, shape=(1, 8, 8), seed=0)
    oracle = bb.Oracle(net, access="labels", classes=10)
    x, y = data["attacked"].images, data["attacked"].labels
    matrix = sg.transfer_matrix({"m": net}, {"t": oracle}, x, y, ["fgsm"], [bb.Linf(0.1)], seed=0)
    matrix.save(tmp_path)
    (tmp_path / "summary.txt").write_text(matrix.table() + "\n")
    made = saved.opened(tmp_path)
    assert made.summary.startswith(matrix.table().splitlines()[0]) and not made.examples


def test_a_sweep_shows_the_galleries_that_its_report_has(tmp_path, monkeypatch):
    from blackbox.report import runs
    from blackbox.report.gallery import Gallery

    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "study.toml").write_text(
        '[images]\nn = 12\n[attack]\ntargets = "digits:mlp"\nattacks = "square"\nthreats = "linf:0.3"\nbudgets = 60\n'
        '[transfer]\nsources = "digits:cnn"\ntargets = "digits:mlp"\npresets = "fgsm"\nthreats = "linf:0.3"\n'
    )
    (run / "run.json").write_text(json.dumps({"settings": {"verb": "sweep"}}))
    Study.load(run / "study.toml").run(run / "store.sqlite").save(run)
    made = saved.opened(run)
    of_report = runs.read(run, "run")
    assert [len(gallery) for gallery in made.galleries] == [min(8, len(of_report.images[p].index)) for p in of_report.images]
    assert len(made.galleries) == 2 and all(isinstance(g, Gallery) and len(g) for g in made.galleries)
    html = draw.run(made)
    assert all(gallery.html() in html for gallery in made.galleries) and ">Rates, 2 of 2<" in html
    (run / "store.sqlite").unlink()
    for side in run.glob("store.sqlite-*"):
        side.unlink()
    html = draw.run(saved.opened(run))  # its summary and rates are still there
    assert "Expected the store of a sweep" in html and ">Rates, 2 of 2<" in html


def test_folders_that_hold_no_run(folder, tmp_path):
    path, _ = folder
    for where, word in ((tmp_path / "gone", "there is none"), (path / "config.json", "there is a file")):
        with pytest.raises(FileNotFoundError, match=f"Expected the folder of a run at .*{word}"):
            saved.opened(where)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="to hold a run"):
        saved.opened(tmp_path / "empty")
    with pytest.raises(ValueError, match="none was named"):
        saved.opened("  ")
    (path / "examples.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match="to hold a whole result, but it cannot be read"):
        saved.opened(path)
    (path / "examples.safetensors").unlink()
    (path / "run.json").write_text("{ not json")
    with pytest.raises(ValueError, match="Expected JSON in .*run.json"):
        saved.opened(path)

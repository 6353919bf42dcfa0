"""``blackbox attack``: channels, votes, 8-bit results, starts, several attacks side by side."""

from __future__ import annotations

import csv
import inspect
import json
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import load_file

import blackbox as bb
from blackbox.cli import options
from blackbox.specs import channels
from tests.commands import Cli

GREY = """
import torch

def brightness(x):
    mean = x.flatten(1).mean(1)
    return torch.stack([torch.full_like(mean, 0.5), mean], 1)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """target.py, which names class 1 where an image is brighter than 0.5; twelve images of 0.45; twelve white ones."""
    (tmp_path / "target.py").write_text(GREY)
    labels = np.zeros(12, np.int64)
    np.savez(tmp_path / "grey.npz", images=np.full((12, 1, 8, 8), 0.45, np.float32), labels=labels)
    np.savez(tmp_path / "white.npz", images=np.ones((12, 1, 8, 8), np.float32), labels=labels + 1)
    return tmp_path


def outcomes(folder: Path) -> list[dict[str, str]]:
    with open(folder / "outcomes.csv") as file:
        return list(csv.DictReader(file))


def made(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((folder / "run.json").read_text())["settings"]
    return settings


class TestChannels:
    def test_they_are_put_around_the_target_in_order(self) -> None:
        stack = channels.read(["topk:2", "round:1", "eight-bit", "noise:0.01,seed=4"])
        wrapped = channels.wrap(lambda x: x.flatten(1), stack, seed=9)
        assert wrapped.name.startswith("Noisy 0.01 of EightBit of Rounded 1 of TopK 2 of ")
        assert (wrapped.probe, wrapped.resolution, wrapped.noise) == (1 / 255, 0.1, 0.01)
        assert wrapped.seed == 4, "its own seed before the run's"
        inner = channels.wrap(lambda x: x, channels.read(["input-noise"]), seed=9)
        assert (inner.seed, inner.scale) == (9, 0.02)

    def test_what_they_do_to_an_answer(self) -> None:
        p = torch.tensor([[0.611, 0.222, 0.167]])
        stack = channels.read(["topk:1", "round:1"])
        shown = channels.wrap(lambda x: p.expand(len(x), 3), stack, seed=0).predict(torch.zeros(2, 1))
        assert torch.equal(shown.scores, torch.tensor([[0.6, 0.2, 0.2]]).expand(2, 3))

    @pytest.mark.parametrize(
        ("texts", "wanted", "expected"),
        [
            ([], None, "scores"),
            (["jpeg"], None, "scores"),
            (["topk:3"], None, "topk:3"),
            (["topk:3", "topk:2"], None, "topk:2"),
            (["topk:3"], "scores", "scores"),
            (["round", "labels"], None, "labels"),
            (["jpeg:50"], "logits", "logits"),
        ],
    )
    def test_the_access_that_they_leave(self, texts: list[str], wanted: str | None, expected: str) -> None:
        assert channels.access(wanted, channels.read(texts)) == expected

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (("--channel", "jpg:75"), ("labels", "Did you mean 'jpeg'")),
            (("--channel", "topk"), ("topk:K",)),
            (("--channel", "round:x"), ("decimals", "whole number", "'x'")),
            (("--channel", "round:0"), ("decimals", "at least 1")),
            (("--channel", "jpeg:75,3"), ("jpeg:quality=75", "'3'")),
            (("--channel", "noise:scal=1"), ("scale", "Did you mean 'scale'")),
            (("--channel", "blacklight:action=sleep"), ("answer, replay",)),
            (("--channel", "labels", "--channel", "round:2"), ("labels, given before it",)),
            (("--attack", "square", "--channel", "labels"), ("at least topk for square", "labels only")),
            (("--channel", "labels", "--access", "scores"), ("--access labels", "'scores'")),
            (("--channel", "round", "--access", "logits"), ("--access scores", "round")),
            (("--access", "scores:3"), ("topk",)),
            (("--access", "topk:x"), ("whole number",)),
            (("--access", "topk:30"), ("between 1 and 10",)),
            (("--votes", "4"), ("odd",)),
            (("--start", "npz:nowhere.npz", "--attack", "rays"), ("nowhere.npz",)),
            (("--start", "npz:nowhere.npz"), ("walks from an adversarial image", "hop-skip-jump")),
            (("--pool", "digits", "--attack", "rays"), ("--targeted",)),
            (("--pool", "digits", "--start", "x", "--attack", "rays"), ("either",)),
            (("--attack", "rays,rays"), ("several different",)),
            (("--attack", ","), ("--attack",)),
            (("--attack", "rays,square", "--set", "p_init=.1"), ("ATTACK.NAME", "p_init=.1")),
            (("--attack", "square", "--set", "nes.sigma=.1"), ("ATTACK.NAME", "nes.sigma")),
            (("--attack", "square,sparse"), ("L0", "sparse")),
            (("--attack", "square,nes", "--set", "nes.sgma=1"), ("NES", "Did you mean 'sigma'")),
        ],
    )  # fmt: skip
    def test_errors_are_one_sentence_before_any_query(
        self, said: Cli, words: tuple[str, ...], expected: tuple[str, ...], tmp_path: Path
    ) -> None:
        out = said("attack", "--target", "digits:logreg", "--eps", "0.1", "-n", "5", "-o", "r", *words)
        assert out.returncode == 2, (out.stdout, out.stderr)
        assert len(out.stderr.strip().splitlines()) == 1 and out.stdout == ""
        for word in expected:
            assert word in out.stderr, out.stderr
        assert not (tmp_path / "r").exists()

    def test_a_run_through_channels(self, said: Cli, tmp_path: Path) -> None:
        words = ("attack", "-t", "digits:logreg", "--eps", "0.3", "-b", "40", "-n", "8", "-a", "square", "-o", "r")
        out = said(*words, "--channel", "topk:3", "--channel", "round:2", "--channel", "eight-bit")
        assert out.returncode == 0, out.stderr
        assert "square on EightBit of Rounded 2 of TopK 3 of logreg · sees topk" in out.stdout
        assert made(tmp_path / "r")["channels"] == ["topk:3", "round:2", "eight-bit"]
        assert made(tmp_path / "r")["access"] == "topk:3"

    def test_a_randomised_target_is_put_to_the_vote(self, said: Cli) -> None:
        words = (
            "attack",
            "-t",
            "digits:logreg",
            "--eps",
            "0.3",
            "-b",
            "60",
            "-n",
            "6",
            "-o",
            "r",
            "--channel",
            "noise:0.02",
        )
        assert "majority of 11 fresh answers" in said(*words).stdout
        assert "majority of 3 fresh answers" in said(*words, "--votes", "3").stdout

    def test_a_detector_reports(self, said: Cli) -> None:
        words = ("attack", "-t", "digits:logreg", "--eps", "0.3", "-b", "40", "-n", "4", "-o", "r")
        out = said(*words, "--channel", "blacklight:window=5")
        assert "queries flagged" in out.stdout, out.stderr

    def test_they_are_listed(self, said: Cli) -> None:
        out = said("list", "channels")
        rows = {line.split("\t")[0].partition(":")[0]: line for line in out.stdout.splitlines()}
        assert rows.keys() >= channels.NAMES.keys()
        assert rows["jpeg"].startswith("jpeg:quality=75\tCompresses")


def test_8_bit_results(said: Cli, tmp_path: Path) -> None:
    words = ("attack", "-t", "digits:logreg", "--eps", "0.31", "-b", "60", "-n", "8")
    out = said(*words, "-o", "a", "--eight-bit")
    assert out.returncode == 0 and "8-bit images" in out.stdout, out.stderr
    levels = {}
    for name, more in (("a", ("--eight-bit",)), ("b", ())):
        said(*words, "-o", name, *more)
        saved = load_file(tmp_path / name / "examples.safetensors")
        x = saved["x_adv"][saved["success"]] * 255
        levels[name] = float((x - x.round()).abs().max())
    assert levels["a"] < 1e-3 < levels["b"]


class TestStarts:
    def test_a_warm_start_is_the_first_thing_tried(self, said: Cli, own: Path) -> None:
        words = (
            "attack",
            "-t",
            "target.py:brightness",
            "-d",
            "npz:grey.npz",
            "--access",
            "labels",
            "-a",
            "hop-skip-jump",
        )
        out = said(*words, "--eps", "0.6", "-b", "20", "--start", "npz:white.npz", "-o", "r")
        assert out.returncode == 0, out.stderr
        assert {row["first_success_query"] for row in outcomes(own / "r")} == {"2"}
        x = load_file(own / "r" / "examples.safetensors")["x_adv"]
        assert (x == 1).all(), "within eps, the start itself is the example"

    def test_the_examples_of_a_run_are_taken_by_their_ids(self, said: Cli, tmp_path: Path) -> None:
        words = ("attack", "-t", "digits:logreg", "--access", "labels", "-a", "rays", "--eps", "0.4")
        assert said(*words, "-b", "300", "-n", "9", "-o", "first").returncode == 0
        before = load_file(tmp_path / "first" / "examples.safetensors")
        for n, more in (("9", ()), ("3", ())):
            out = said(*words, "-a", "hop-skip-jump", "-b", "2", "-n", n, "--start", "first", "-o", n, *more)
            after = load_file(tmp_path / n / "examples.safetensors")
            found = before["success"][torch.isin(before["ids"], after["ids"])]
            assert torch.equal(after["success"], found), out.stderr
        out = said(*words, "-n", "10", "--pick", "first", "--start", "first")
        assert out.returncode == 2 and "the same images" in out.stderr

    def test_a_start_for_each_of_the_data_is_picked_with_them(self, said: Cli, own: Path) -> None:
        images = np.linspace(0.5, 1, 12, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32)
        np.savez(own / "steps.npz", images=images, labels=np.ones(12, np.int64))
        words = (
            "attack",
            "-t",
            "target.py:brightness",
            "-d",
            "npz:grey.npz",
            "--access",
            "labels",
            "-a",
            "hop-skip-jump",
        )
        out = said(*words, "--eps", "0.6", "-b", "2", "-n", "4", "--start", "npz:steps.npz", "-o", "r")
        x = load_file(own / "r" / "examples.safetensors")["x_adv"]
        assert torch.equal(x[1:], torch.from_numpy(images[[3, 6, 9]])), out.stderr
        np.savez(own / "few.npz", images=images[:5], labels=np.ones(5, np.int64))
        out = said(*words, "--eps", "0.6", "-n", "4", "--start", "npz:few.npz")
        assert out.returncode == 2 and "holds 5" in out.stderr
        np.savez(own / "large.npz", images=np.ones((4, 1, 9, 9), np.float32), labels=np.ones(4, np.int64))
        out = said(*words, "--eps", "0.6", "-n", "4", "--start", "npz:large.npz")
        assert out.returncode == 2 and "(1, 9, 9)" in out.stderr

    def test_starts_of_the_class_to_reach_come_from_the_pool(self, said: Cli, tmp_path: Path) -> None:
        words = ("attack", "-t", "digits:logreg", "--access", "labels", "--eps", "1", "-n", "12", "-b", "2", "-o")
        out = said(*words, "r", "-a", "hop-skip-jump", "--targeted", "random", "--pool", "digits")
        assert out.returncode == 0, out.stderr
        rows = [row for row in outcomes(tmp_path / "r") if row["status"] != "clean_wrong"]
        assert sum(row["success"] == "True" for row in rows) >= 0.8 * len(rows), "a start is nearly always of its class"
        out = said(
            *words,
            "s",
            "-a",
            "hop-skip-jump",
            "--targeted",
            "3",
            "--pool",
            "digits",
            "--data",
            "digits",
            "--split",
            "surrogate",
        )
        assert out.returncode in (0, 3), out.stderr
        left = 12 - len(outcomes(tmp_path / "s"))
        assert f"left out         {left} of 12 images, which are of class 3, the class to reach" in out.stdout
        assert left > 0 and all(row["y"] != "3" == row["goal"] for row in outcomes(tmp_path / "s"))


class TestSeveral:
    WORDS = ("attack", "-t", "digits:logreg", "--eps", "0.25", "-b", "120", "-n", "12", "--seed", "3")

    def test_each_is_as_it_is_alone(self, said: Cli, tmp_path: Path) -> None:
        assert said(*self.WORDS, "-a", "square", "--set", "p_init=0.2", "-o", "alone").returncode == 0
        out = said(
            *self.WORDS, "-a", "square,rays,nes", "--set", "square.p_init=0.2", "--set", "nes.samples=20", "-o", "r"
        )
        assert out.returncode == 0, out.stderr
        assert (tmp_path / "alone" / "outcomes.csv").read_text() == (
            tmp_path / "r" / "square" / "outcomes.csv"
        ).read_text()
        assert made(tmp_path / "r")["parameters"]["nes"]["samples"] == 20
        for name in (
            "report.html",
            "report.md",
            "curve.png",
            "distance.png",
            "summary.txt",
            "square/report.html",
            "rays/curve.png",
        ):
            assert (tmp_path / "r" / name).stat().st_size > 0, name

        import blackbox as bb
        from blackbox import statistics
        from blackbox.plain_text import cell

        saved = {name: bb.AttackResult.load(tmp_path / "r" / name) for name in ("square", "rays", "nes")}
        for name, result in saved.items():
            line = next(li for li in out.stdout.splitlines() if li.startswith(f"{name} ") and "%" not in li)
            mean = statistics.restricted_mean(result)
            assert cell(result.success_rate) in line and f"{mean.value:,.1f} [" in line
        both = statistics.corrected([statistics.paired(saved["square"], saved[name]) for name in ("rays", "nes")])
        assert f"square against nes: {both[1]}" in out.stdout and "corrected for 2 tests by Holm" in out.stdout
        rows = outcomes(tmp_path / "r")
        assert len(rows) == 36 and {row["attack"] for row in rows} == {"square", "rays", "nes"}

    def test_without_a_radius_distances_are_compared(self, said: Cli, tmp_path: Path) -> None:
        out = said("attack", "-t", "digits:logreg", "--norm", "l2", "--eps", "inf", "-b", "130", "-n", "6",
                   "-a", "hop-skip-jump,surfree", "-o", "r")  # fmt: skip
        assert out.returncode == 0, out.stderr
        assert "median distance by 100" in out.stdout and "median distance by 130" in out.stdout
        assert "against" not in out.stdout and (tmp_path / "r" / "distance.png").exists()

    def test_each_has_its_own_checkpoint(self, said: Cli, tmp_path: Path) -> None:
        words = (*self.WORDS, "-a", "square,nes", "--checkpoint", "c.pt")
        first, second = said(*words, "-o", "a"), said(*words, "-o", "b")
        assert first.returncode == second.returncode == 0, first.stderr + second.stderr
        assert {p.name for p in tmp_path.glob("*.pt")} == {"c-square.pt", "c-nes.pt"}
        assert "resumed" in (tmp_path / "b" / "nes" / "summary.txt").read_text()

    def test_none_fooled_is_exit_code_3(self, said: Cli, own: Path) -> None:
        out = said(
            "attack",
            "-t",
            "target.py:brightness",
            "-d",
            "npz:grey.npz",
            "--eps",
            "0.01",
            "-b",
            "9",
            "-a",
            "square,nes",
            "-o",
            "r",
        )
        assert out.returncode == 3 and "No success" in out.stderr


def test_groups_of_options_are_shown_one_by_one() -> None:
    seen: dict[str, Any] = {}

    @options.shared
    def verb(what: Annotated[str, typer.Option()], common: options.Run, within: options.Within, more: int = 3) -> None:
        seen.update(what=what, common=common, within=within, more=more)

    shown = inspect.signature(verb).parameters
    assert list(shown) == ["what", "more", "seed", "out", "quiet", "norm", "eps", "threat"]
    assert shown["what"].default is inspect.Parameter.empty and shown["seed"].default == 0
    assert "Radius" in get_type_hints(verb, include_extras=True)["eps"].__metadata__[0].help
    verb(what="a", more=4, seed=7, out=None, quiet=True, norm="l2", eps="1", threat=None)
    assert seen == {
        "what": "a",
        "more": 4,
        "common": options.Run(7, None, True),
        "within": options.Within("l2", "1", None),
    }


def test_ctrl_c_saves_what_was_paid_for(said: Cli, tmp_path: Path) -> None:
    (tmp_path / "stops.py").write_text(
        "calls = []\n"
        "def f(x):\n"
        "    calls.append(len(x))\n"
        "    if len(calls) == 6:\n"
        "        raise KeyboardInterrupt\n"
        "    return model.predict_proba(x.flatten(1).numpy())\n"
        "from sklearn.datasets import load_digits\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression().fit(*[load_digits().data[:300] / 16, load_digits().target[:300]])\n"
    )
    ended = said("attack", "--target", "stops.py:f", "--attack", "square", "--eps", "0.001", "--n", "3", "--budget", "50", "--out", "o")
    assert ended.returncode == 130 and "Stopped. The results of the " in ended.stderr and "are saved in o." in ended.stderr
    saved = bb.AttackResult.load(tmp_path / "o")
    assert f"of the {int(saved.queries.sum())} queries before it" in ended.stderr and 0 < int(saved.queries.sum()) < 50
    assert any("stopped" in status.value for status in saved.status)


class TestTariff:
    def test_a_run_keeps_to_it_and_shows_both_bills(self, own: Path, said: Any) -> None:
        base = ("attack", "-t", f"{own}/target.py:brightness", "-d", f"npz:{own}/grey.npz", "--eps", "0.02", "-o", "run", "--access")
        out = said(*base, "scores", "-a", "square", "-b", "50", "--tariff", "query=0.01,bad=0.02,most=0.3")
        assert "at most 10 queries = at most 120" in out.stdout
        assert "tariff           query 0.01, bad 0.02; at most 0.3 an image" in out.stdout
        assert "money            3.60 in all: 120 queries at 0.01, 120 bad at 0.02; an attacked image cost 0.3 on" in out.stdout
        assert all(float(row["money"]) == pytest.approx(0.3) for row in outcomes(own / "run"))
        assert made(own / "run")["tariff"] == "query=0.01,bad=0.02,most=0.3"
        assert "at most 0.3 allowed" in (own / "run/report.md").read_text()
        out = said(*base, "labels", "-b", "3", "--tariff", "query=0.1,bad=1")
        assert out.returncode == 3 and bb.AttackResult.load(own / "run").config["attack"] == "stealthy-rays"
        out = said(*base, "scores", "--tariff", "query=1,mots=3")
        assert out.returncode == 2 and "there was 'mots'. Did you mean 'most'?" in out.stderr


class TestGoals:
    def test_a_run_with_a_goal_and_a_mask_says_no_false_word(self, own: Path, said: Any) -> None:
        (own / "target.py").write_text("def number(x):\n    return 10 * x.flatten(1).mean(1)\n\ndef far(a):\n    return a - 4.52\n")
        mask = np.zeros((8, 8), bool)
        mask[:, :6] = True
        np.save(own / "mask.npy", mask)
        np.savez(own / "plain.npz", images=np.full((12, 1, 8, 8), 0.45, np.float32))  # such a goal needs no labels
        out = said(
            "attack", "-t", f"{own}/target.py:number", "-d", f"npz:{own}/plain.npz",
            "--eps", "0.1", "-b", "30", "-a", "square", "-o", "run",
            "--goal", f"{own}/target.py:far", "--mask", f"{own}/mask.npy",
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        assert "of the 12 inputs that did not reach the goal unchanged" in out.stdout and "goal             far" in out.stdout
        assert "still reach the goal when read back" in out.stdout and "answers read as" not in out.stdout
        result = bb.AttackResult.load(own / "run")
        assert result.success.all() and result.mask is not None and bool((result.mask[0, 0].numpy() == mask).all())
        assert (result.x_adv[:, 0, :, 6:] == 0.45).all() and made(own / "run")["goal"].endswith("target.py:far")
        words = out.stdout + out.stderr + "".join((own / "run" / name).read_text() for name in ("report.md", "summary.txt", "outcomes.csv"))
        for false in ("fooled", "accuracy", "had right", "clean_label", "adv_label", "class -1"):
            assert false not in words, false

    def test_surrogates_serve_a_goal(self, own: Path, said: Any) -> None:
        (own / "target.py").write_text(
            "import torch\ndef number(x):\n    return 10 * x.flatten(1).mean(1)\n\ndef far(a):\n    return a - 4.6\n"
            "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1))\ntorch.nn.init.constant_(net[1].weight, 1.0)\n"
        )
        base = ("attack", "-t", f"{own}/target.py:number", "-d", f"npz:{own}/grey.npz", "--eps", "0.1", "-b", "30", "-a", "hybrid")
        base = (*base, "--surrogate", f"{own}/target.py:net", "-o", "run")
        out = said(*base, "--goal", "regression:up=5.4")  # from the labels, which are 0, to 5.4 of at most 5.5
        assert out.returncode == 0 and "prior " in out.stdout, out.stderr
        assert int(bb.AttackResult.load(own / "run").queries.max()) <= 3
        out = said(*base, "--goal", f"{own}/target.py:far")
        assert out.returncode == 2 and "a goal with a twin" in out.stderr, out.stderr

    @pytest.mark.parametrize(("shows", "search"), [("labels", "auto"), ("scores", "patch-rs")])
    def test_auto_fills_a_patch_with_what_the_target_shows(self, shows: str, search: str, own: Path, said: Any) -> None:
        base = ("attack", "-t", f"{own}/target.py:brightness", "-d", f"npz:{own}/grey.npz", "-b", "30", "--access", shows, "-o", "run")
        out = said(*base, "--patch", "6@random")
        assert out.returncode == 0, out.stderr
        assert bb.AttackResult.load(own / "run").config["attack"] == search

    def test_what_cannot_be_is_said_before_a_query(self, own: Path, said: Any) -> None:
        base = ("-t", f"{own}/target.py:brightness", "-d", f"npz:{own}/grey.npz", "--eps", "0.1")
        for more, told in (
            (("--goal", "none-of:0", "--targeted", "1"), "Expected either --goal or --targeted"),
            (("--goal", "none-of:0 top 2"), "at least k=2 classes outside the set"),
            (("--goal", "none-of:7"), "from 0 to 1, but one was 7"),
            (("--goal", "regression:up=2", "--own", f"npz:{own}/grey.npz"), "Expected either --own, whose nets are trained on classes"),
        ):
            out = said("attack", *base, "--classes", "2", *more)
            assert out.returncode == 2 and told in out.stderr, (told, out.stderr)
        np.savez(own / "plain.npz", images=np.full((2, 1, 8, 8), 0.45, np.float32))
        plain = ("-t", f"{own}/target.py:brightness", "-d", f"npz:{own}/plain.npz", "--eps", "0.1")
        for goal, told in (("regression:up=1", "Expected labels with the data"), ("none-of:0", "it lacks labels")):
            out = said("attack", *plain, "--goal", goal)
            assert out.returncode == 2 and told in out.stderr, (told, out.stderr)
        out = said("evaluate", *base, "--goal", "regression:up=2", "--own", f"npz:{own}/grey.npz")
        assert out.returncode == 2 and "Expected either --own, whose nets are trained on classes" in out.stderr

    def test_an_evaluation_says_what_withstands_a_goal(self, own: Path, said: Any) -> None:
        (own / "target.py").write_text(GREY + "\ndef number(x):\n    return x.flatten(1).mean(1) * 10\n")
        base = ("-t", f"{own}/target.py:number", "-d", f"npz:{own}/grey.npz", "--eps", "0.1", "--budgets", "9", "-a", "square", "-o", "e")
        out = said("evaluate", *base, "--goal", "regression:up=9", "--fail-under", "answers=0.9")  # from 0 to 9, of at most 5.5
        assert out.returncode == 0 and "withstood 100 %" in out.stdout and "goal: the number moves up by 9" in out.stdout, out.stderr
        page = (own / "e" / "report.md").read_text()
        assert "Withstood, %" in page and "do not reach the goal unchanged; what withstands falls" in page
        assert "of those that the target had right" not in page


class TestTables:
    CELLS = "id,age,sex,paid\n" + "".join(f"{i},{90 + i},{i % 2},{'yes' if i > 10 else 'no'}\n" for i in range(16))
    RULES = 'label = "paid"\nleave_out = ["id"]\ninteger = ["age"]\nimmutable = ["sex"]\n[ranges]\nage = [0, 200]\n'

    @pytest.fixture
    def people(self, own: Path) -> tuple[str, ...]:
        (own / "target.py").write_text(
            "import torch\n\ndef paid(rows):\n    assert bool((rows[:, 0] == rows[:, 0].round()).all()) and rows.shape[1] == 2\n"
            "    return torch.stack([torch.zeros(len(rows)), (rows[:, 0] - 100.5).float()], 1)\n"
        )
        (own / "people.csv").write_text(self.CELLS)
        (own / "rules.toml").write_text(self.RULES)
        return ("-t", f"{own}/target.py:paid", "-d", f"csv:{own}/people.csv", "--table", f"{own}/rules.toml")

    def test_rows_are_attacked_evaluated_and_reported_as_rows(self, own: Path, people: tuple[str, ...], said: Any) -> None:
        out = said("attack", *people, "--eps", "0.03", "-b", "9", "-a", "square", "-o", "run")
        assert out.returncode == 0 and "16 rows" in out.stdout and "image" not in out.stdout, out.stderr
        result = bb.AttackResult.load(own / "run")
        assert result.x_clean is not None and set(result.changes()[0]._fields) >= {"column", "before", "after"}
        page = (own / "run" / "report.md").read_text()
        assert "Changed columns" in page and "| Column |" in page and " image" not in page and not (own / "run" / "adversarial").exists()
        out = said("evaluate", *people, "--eps", "0.03", "--budgets", "9", "-a", "square", "--levels", "scores", "-o", "e")
        assert out.returncode == 0 and "queries a row" in out.stdout, out.stderr

    def test_a_study_of_rows_runs_and_knows_another_table(self, own: Path, people: tuple[str, ...]) -> None:
        from blackbox.sweep import Plan, Study

        grid = {"targets": people[1], "attacks": "square", "threats": "linf:0.03", "budgets": 9}
        study = Study(images={"data": people[3], "table": people[5], "n": 6}, attack=grid)
        text = str(study.run(own / "s.sqlite"))
        assert "of the rows that the target had right" in text and "image" not in text
        before = Plan.of(study).prints[""]
        (own / "rules.toml").write_text(self.RULES.replace('immutable = ["sex"]', ""))
        assert Plan.of(study).prints[""] != before
        with pytest.raises(ValueError, match="Expected neither .transfer. nor eight_bit with a table"):
            Study(images={"table": "x.toml"}, attack=grid | {"eight_bit": True})

    def test_what_cannot_be_is_said_before_a_query(self, own: Path, people: tuple[str, ...], said: Any) -> None:
        base = ("attack", *people, "--eps", "0.03")
        for more, told in (
            (("--mask", "m.npy"), "Expected no --mask with --table"), (("--own", "digits"), "Expected no --own with --table"),
            (("--split", "test"), "Expected no --split and no --size with rows of a table"),
        ):  # fmt: skip
            out = said(*base, *more)
            assert out.returncode == 2 and told in out.stderr, (told, out.stderr)
        out = said("attack", *people[:4], "--eps", "0.03")
        assert out.returncode == 2 and "Expected --table FILE.toml, what a row may be" in out.stderr
        for rules, told in (
            ('lable = "paid"', "it has the key 'lable'. Did you mean 'label'"), ("integer = 3", "integer: "), ("integer = [", "to be TOML"),
            ('leave_out = ["id"]', "'paid' is 'no' in row 0. Encode categories"), ('label = "x"', "of its columns (id, age, sex, paid)"),
            ('label = "paid"\nleave_out = ["ego"]', "has no 'ego'"), ('leave_out = ["id", "paid"]', "Expected the true class of each row"),
            ('label = "paid"\ninteger = ["ag"]', "ag"),
        ):  # fmt: skip
            (own / "rules.toml").write_text(rules)
            out = said(*base)
            assert out.returncode == 2 and told in out.stderr, (told, out.stderr)

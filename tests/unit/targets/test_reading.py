"""What a target's answers mean: recognised, stated, watched; and each form of answer that people return."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.channels.eight_bit import EightBit
from blackbox.channels.scores import Rounded
from blackbox.oracle import Oracle, TargetError
from blackbox.targets.adapted import Adapted
from blackbox.targets.function import FunctionTarget
from blackbox.targets.module import ModuleTarget
from blackbox.targets.reading import recognise
from blackbox.targets.sklearn import SklearnTarget

Z = torch.randn(16, 10, generator=torch.Generator().manual_seed(0)) * 3
P = Z.softmax(1)
TOP = torch.zeros_like(P).scatter(1, P.topk(3).indices, P.topk(3).values)
X = torch.rand(16, 1, 2, 2, generator=torch.Generator().manual_seed(1))
WORDS = [f"c{i}" for i in range(10)]


def answering(values: Any) -> Callable[[Tensor], Any]:
    """A target that gives these rows, whatever it is asked."""
    return lambda x: values[: len(x)]


READ: dict[str, tuple[Tensor, str]] = {
    "logits": (Z, "logits (recognised: there are scores below zero)"),
    "logits from 0 on": (Z - Z.min(), "logits (recognised: rows that do not sum to one)"),
    "one row of them": ((Z - Z.min())[:1], "logits (recognised: rows that do not sum to one)"),
    "relu": (Z.relu(), "logits (recognised: rows that do not sum to one)"),
    "probabilities": (P, "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "one row": (P[:1], "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "one-hot": (torch.eye(10), "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "two decimals": (P.round(decimals=2), "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "bfloat16": (P.bfloat16(), "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "bfloat16 as float32": (P.bfloat16().float(), "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "float16": (P.half(), "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "256ths": ((P * 256).round() / 256, "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "256ths of a flat row": ((torch.full((1, 10), 0.1) * 256).round() / 256, "probabilities (recognised: rows in [0, 1] that sum to one)"),
    "top 3": (TOP, "probabilities (recognised: rows in [0, 1] that sum to one at most, with at most 3 of 10 above zero)"),
    "one row, top 3": (TOP[:1], "probabilities (recognised: rows in [0, 1] that sum to one at most, with at most 3 of 10 above zero)"),
    "a class left out": (P[:, 1:], "probabilities (recognised: rows in [0, 1] that sum to one at most, from 0.532 on; in doubt: logits"),
    "percent": (P * 100, "percent (recognised: rows in [0, 100] that sum to 100, by which they are divided)"),
    "whole percent": ((P * 100).round(), "percent (recognised: rows in [0, 100] that sum to 100"),
    "one row, percent": (P[:1] * 100, "percent (recognised: rows in [0, 100] that sum to 100"),
    "bytes": ((P * 255).round(), "probabilities (recognised: rows in [0, 255] that sum to 255, by which they are divided)"),
    "top 3 in percent": (TOP * 100, "percent (recognised: rows in [0, 100] that sum to 100 at most, by which they are divided, with"),
    "one row of it": (TOP[2:3] * 100, "percent (recognised: rows in [0, 100] that sum to 100 at most, by which they are divided, with"),
    "top 3 in bytes": ((TOP * 255).round().byte(), "probabilities (recognised: rows in [0, 255] that sum to 255 at most, by which they"),
    "top 3 in tenths": (TOP * 10, "logits (recognised: rows that do not sum to one, with at most 3 of 10 above zero; in doubt: pro"),
    "votes of 7": (torch.tensor([[5, 2, 0], [3, 3, 1], [0, 7, 0.0]]), "probabilities (recognised: rows of at least 0 that all sum to 7"),
    "sigmoids": (Z.sigmoid(), "logits (recognised: rows in [0, 1] that sum to 3.44 to 6.33, not to one; in doubt: independent"),
    "two small logits": (torch.tensor([[0.1, 0.2]]), "logits (recognised: rows in [0, 1] that sum to 0.3 to 0.3, not to one; in"),
    "labels": (P.argmax(1), "labels (recognised: one whole number a row)"),
    "labels as floats": (P.argmax(1).double(), "labels (recognised: one whole number a row)"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_an_answer_is_recognised(name: str) -> None:
    values, said = READ[name]
    assert str(recognise(values)).startswith(said)


@pytest.mark.filterwarnings("ignore:The answers of")
@pytest.mark.parametrize("name", [n for n, (v, _) in READ.items() if v.ndim == 2 and v.shape[1] == 10])
def test_the_confidence_shown_is_the_targets(name: str) -> None:
    """Divided where the rows are scaled, a softmax where they are logits, else as they came; and the label is never touched."""
    values, said = READ[name]
    reply = Oracle(answering(values), "scores", 10, rows_per_call=16)(X[: len(values)])
    share = values.double() / (100 if said.startswith("percent") else 255 if "255" in said else 1)
    want = share.softmax(1) if said.startswith("logits") else share
    assert torch.allclose(reply.confidence().double(), want.amax(1), atol=1e-5)
    assert torch.equal(reply.label, values.float().argmax(1))


def test_percentages_give_the_same_run_as_probabilities() -> None:
    weight = torch.randn(4, 10, generator=torch.Generator().manual_seed(2)).double() * 4

    def p(x: Tensor) -> Tensor:
        return (x.flatten(1).double() @ weight).softmax(1)

    y = p(X).argmax(1)
    one, two = (bb.attack(Oracle(f, "scores", 10), X, y, "square", bb.Linf(0.2), 40) for f in (p, lambda x: p(x) * 100))
    assert torch.equal(one.queries, two.queries) and torch.equal(one.success, two.success) and torch.equal(one.x_adv, two.x_adv)
    assert "answers read as: percent (recognised: rows in [0, 100]" in two.summary()
    assert two.config["reading"].startswith("percent (")


def test_the_reading_is_stated_and_saved(tmp_path: Path) -> None:
    oracle = Oracle(answering(P), "scores", 10, returns="probabilities")
    assert str(oracle.reading) == "probabilities (as given by returns=)" and oracle.returns == "probabilities"
    later = Oracle(answering(P), "scores", 10)
    assert later.reading is None and later.returns is None
    r = bb.attack(later, X, P.argmax(1), "square", bb.Linf(0.1), 3)
    assert later.returns == "probabilities"
    r.save(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["reading"] == "probabilities (recognised: rows in [0, 1] that sum to one)"
    assert "answers read as: probabilities (recognised" in bb.AttackResult.load(tmp_path).summary()


def test_a_channel_reads_what_is_behind_it() -> None:
    oracle = Oracle(EightBit(Rounded(answering(P * 100), 2)), "scores", 10, rows_per_call=16)
    shown = oracle(X).values
    assert torch.equal(shown, P.round(decimals=2)) and str(oracle.reading).startswith("percent (")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:The answers of")
class TestWhatContradicts:
    """The first answer decides; a later one that it does not fit is an error that says what to do."""

    def twice(self, first: Any, second: Any, message: str, classes: int = 10) -> None:
        answers = iter([first, second])
        oracle = Oracle(lambda x: next(answers), "scores", classes, rows_per_call=16)
        oracle(X[: len(first)])
        with pytest.raises(TargetError, match=message):
            oracle(X[: len(second)])
        assert oracle.failed == len(second)

    def test_zeros_after_percentages_of_the_best(self) -> None:
        self.twice(TOP * 100, 0 * TOP[:3], "zeros alone for row 0 of a call with 3 images")

    def test_logits_after_probabilities(self) -> None:
        self.twice(P, Z, r"Expected probabilities .* as before, .*scores from -.* returns='logits'")

    def test_percentages_after_probabilities(self) -> None:
        self.twice(P, P * 100, r"They are percentages: Oracle\(..., returns='percent'\), on the command line --returns percent")

    def test_several_labels_after_one(self) -> None:
        self.twice(torch.eye(10)[:1], torch.eye(10)[:4] + torch.eye(10)[4:8], "rows that sum to 2 to 2")

    def test_a_single_row_of_votes_is_found_out(self) -> None:
        votes = torch.tensor([[5, 2, 0], [3, 3, 1], [0, 7, 0.0]])
        self.twice(votes[:1], votes, "no score was below zero and all rows sum to 7", 3)

    def test_alike_rows_are_no_evidence(self) -> None:
        row = torch.tensor([[5.0, 2.0, 1.0]])
        oracle = Oracle(lambda x: row + 1e-3 * x.flatten(1)[:, :3], "scores", 3, rows_per_call=16)
        for _ in range(3):
            oracle(X)
        assert str(oracle.reading) == "logits (recognised: rows that do not sum to one)"

    def test_doubt_ends_when_later_rows_show_it(self) -> None:
        answers = iter([torch.tensor([[0.1, 0.2]]), torch.tensor([[0.1, 1.2]])])
        oracle = Oracle(lambda x: next(answers), "scores", 2)
        oracle(X[:1])
        assert "in doubt" in str(oracle.reading)
        oracle(X[:1])
        assert str(oracle.reading) == "logits (recognised: scores outside [0, 1])"


def test_doubt_is_warned_of_where_it_is_no_chance() -> None:
    with pytest.warns(UserWarning, match=r"read as logits .*independent scores of several labels.* --returns"):
        Oracle(answering(Z.sigmoid()), "scores", 10, rows_per_call=16)(X)


def test_less_than_nine_tenths_of_a_percentage_is_doubted() -> None:
    flat = torch.zeros(3, 10)
    flat[:, 2:5] = torch.tensor([[40.0, 20, 10], [30, 30, 1], [50, 2, 3]])
    with pytest.warns(UserWarning, match=r"read as percent \(.*in doubt: logits of which many are zero.*--returns"):
        shown = Oracle(answering(flat), "scores", 10, rows_per_call=16)(X[:3]).values
    assert torch.allclose(shown, flat / 100)  # type: ignore[arg-type]


def test_shares_announced_as_percent() -> None:
    """Whole rows, and the best of them; but not what is less than one percent of many classes."""
    for shares in (P, TOP, P.round(decimals=2)):
        with pytest.raises(TargetError, match=r"Expected percent .*as announced.*They are probabilities: .*--returns probabilities"):
            Oracle(answering(shares), "scores", 10, returns="percent", rows_per_call=16)(X)
    few = torch.zeros(16, 1000)
    few[:, 3:6] = 0.12  # of flat rows: 0.36 % in all
    few[:, 3] += 0.01
    read = Oracle(answering(few), "scores", 1000, returns="percent", rows_per_call=16)(X)
    assert torch.allclose(read.values, few / 100)  # type: ignore[arg-type]


NOTHING: dict[str, tuple[Any, dict[str, Any]]] = {
    "zeros in one row": (P[:6] * (torch.arange(6) != 4)[:, None], {}),
    "zeros in one row of percent": (P[:6] * 100 * (torch.arange(6) != 4)[:, None], {}),
    "zeros in one row, announced": (P[:6] * (torch.arange(6) != 4)[:, None], {"returns": "probabilities"}),
    "no words": ([{}] * 6, {"classes": WORDS}),
    "no words in one row": ([{"c3": 0.9}] * 4 + [{}, {"c3": 0.9}], {"classes": WORDS}),
    "no words in one list": ([[{"label": "c3", "score": 0.9}]] * 4 + [[]] * 2, {"classes": WORDS}),
    "no words in the first list": ([[], [{"label": "c3", "score": 0.9}], *[[]] * 4], {"classes": WORDS}),
}


@pytest.mark.filterwarnings("ignore:The answers of")
@pytest.mark.parametrize("what", NOTHING)
def test_a_row_that_shows_no_class_is_refused(what: str) -> None:
    """It would be taken for class 0, and so for a success."""
    rows, how = NOTHING[what]
    with pytest.raises(TargetError, match=rf"row {4 if 'in one' in what else 0} of a call with 6 images") as error:
        Oracle(lambda x: rows, "scores", **{"classes": 10, **how})(X[:6])
    assert error.value.row == (4 if "in one" in what else 0)


@pytest.mark.parametrize("classes", [3, 10])
def test_zeros_alone_tell_nothing_until_a_row_shows_a_class(classes: int) -> None:
    """Nets whose last layer begins at zero answer so; once a row has shown a class, a row of zeros is refused."""
    answers = iter([torch.zeros(4, classes), torch.eye(classes)[[0, 1, 2, 0]], torch.zeros(4, classes)])
    oracle = Oracle(lambda x: next(answers), "scores", classes, rows_per_call=4)
    assert oracle(X[:4]).label.tolist() == [0] * 4 and oracle.returns is None
    assert oracle(X[:4]).label.tolist() == [0, 1, 2, 0]
    with pytest.raises(TargetError, match="zeros alone for row 0"):
        oracle(X[:4])


def test_zeros_that_are_logits_are_no_error() -> None:
    """Said, or of a ReLU; or with the label beside them, as rounding leaves them."""
    assert Oracle(answering(torch.zeros(16, 10)), "logits", 10, returns="logits")(X[:6]).label.tolist() == [0] * 6
    some = Z.relu() * (torch.arange(16) != 4)[:, None]
    assert int(Oracle(answering(some), "scores", 10, rows_per_call=16)(X).label[4]) == 0
    flat = torch.full((16, 100), 0.01) + 1e-3 * torch.eye(16, 100) - 1e-5
    rounded = Oracle(Rounded(answering(flat), 1), "scores", 100, rows_per_call=16)(X)
    assert rounded.label.tolist() == list(range(16)) and not rounded.values.any()  # type: ignore[union-attr]


def by_word(p: Tensor, most: int = 10) -> list[dict[str, float]]:
    return [{WORDS[i]: float(row[i]) for i in row.argsort(descending=True)[:most].tolist()} for row in p]


FORMS: dict[str, tuple[Callable[[Tensor], Any], Tensor]] = {
    "{word: score}": (lambda x: by_word(P[: len(x)]), P),
    "{word: score} for one": (lambda x: by_word(P[:1])[0], P[:1]),
    "label and score": (lambda x: [[{"label": w, "score": s} for w, s in row.items()] for row in by_word(P[: len(x)])], P),
    "label and score for one": (lambda x: [{"label": w, "score": s} for w, s in by_word(P[:1])[0].items()], P[:1]),
    "words in another case": (lambda x: [{w.upper(): s for w, s in row.items()} for row in by_word(P[: len(x)])], P),
    "big-endian": (lambda x: P.numpy().astype(">f4")[: len(x)], P),
    "long double": (lambda x: P.numpy().astype(np.longdouble)[: len(x)], P),
    "objects": (lambda x: P.double().numpy().astype(object)[: len(x)], P),
    "lists": (lambda x: P[: len(x)].tolist(), P),
    "a list of rows": (lambda x: list(P[: len(x)]), P),
    "without the row axis": (lambda x: P[0], P[:1]),
    "float8": (lambda x: P[: len(x)].to(torch.float8_e4m3fn), P.to(torch.float8_e4m3fn).float()),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_scores_in_every_form(name: str) -> None:
    f, want = FORMS[name]
    values = Oracle(f, "scores", WORDS, rows_per_call=16, returns="probabilities")(X[: len(want)]).values
    assert values is not None and torch.allclose(values, want, atol=1e-6)


LABELS: dict[str, Callable[[Tensor], Any]] = {
    "words": lambda x: np.array([WORDS[i] for i in P[: len(x)].argmax(1)]),
    "a list of words": lambda x: [WORDS[i] for i in P[: len(x)].argmax(1)],
    "objects": lambda x: np.array(P[: len(x)].argmax(1).tolist(), dtype=object),
    "unsigned": lambda x: P[: len(x)].argmax(1).numpy().astype(np.uint16),
    "one column": lambda x: P[: len(x)].argmax(1)[:, None],
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_in_every_form(name: str) -> None:
    oracle = Oracle(LABELS[name], "labels", WORDS)
    assert torch.equal(oracle(X).label, P.argmax(1)) and oracle.class_names == tuple(WORDS)


def test_a_list_in_words_shares_what_is_left() -> None:
    """0.9 + 0.06 leaves 0.04 to eight classes; percentages leave 4; below zero the rest is below what is shown."""
    for scale in (1, 100):
        shown = Oracle(lambda x, s=scale: [{"c3": 0.9 * s, "c1": 0.06 * s}], "scores", WORDS)(X[:1]).values
        want = torch.full((10,), 0.005)
        want[3], want[1] = 0.9, 0.06
        assert torch.allclose(shown[0], want, atol=1e-6)  # type: ignore[index]
    logits = Oracle(lambda x: [{"c3": 2.0, "c1": -1.0}], "logits", WORDS)(X[:1]).values
    assert logits[0].tolist() == [-2, -1, -2, 2, *[-2] * 6]  # type: ignore[index]


def test_words_in_a_journal_and_behind_a_channel(tmp_path: Path) -> None:
    """They are numbers before they are stored or changed."""
    weight = torch.randn(4, 10, generator=torch.Generator().manual_seed(2)) * 4

    def f(x: Tensor) -> list[dict[str, float]]:
        return by_word((x.flatten(1) @ weight).softmax(1))

    y = (X.flatten(1) @ weight).argmax(1)
    for again in range(2):
        oracle = Oracle(FunctionTarget(f, class_names=WORDS), "scores", 10, rows_per_call=16)
        bb.attack(oracle, X, y, "square", bb.Linf(0.1), 4, journal=tmp_path / "j")
        named = Oracle(f, "scores", WORDS, rows_per_call=16)
        bb.attack(named, X, y, "square", bb.Linf(0.1), 4, journal=tmp_path / "named")
        assert (oracle.rows == 0) == (named.rows == 0) == bool(again)
    with pytest.raises(TargetError, match=r"stands behind a channel, but it answers in words.*FunctionTarget\(model, class_names="):
        Oracle(Rounded(lambda x: by_word(P[: len(x)]), 1), "scores", WORDS)(X[:1])
    channel = Rounded(FunctionTarget(lambda x: by_word(P[: len(x)]), class_names=WORDS), 1)
    assert torch.allclose(Oracle(channel, "scores", 10)(X[:1]).values, P[:1].round(decimals=1), atol=1e-6)  # type: ignore[arg-type]


def one(values: Any) -> Callable[[Tensor], Any]:
    return lambda x: values


REFUSED: dict[str, tuple[Callable[[Tensor], Any], dict[str, Any], str]] = {
    "words unknown": (one(["dog"] * 6), {}, r"class words to be known, .* such as 'dog': .*classes=\['cat'.*--class-names FILE"),
    "another word": (one(["dog"] * 6), {"classes": WORDS}, r"one of the 10 class words, c0, c1, c2, c3, c4, \.\.\., .* answered 'dog'"),
    "dictionary of rows": (one({"a": [1, 2]}), {"classes": WORDS}, r"Expected \{word: score\} for each image"),
    "column, several classes": (one(torch.rand(6, 1)), {}, r"If these are labels, drop the axis: \[:, 0\]"),
    "column, two classes": (one(torch.rand(6, 1)), {"classes": 2}, r"One number a row for two classes: .*returns='probabilities' \(of"),
    "numbers, two classes": (one(torch.rand(6)), {"classes": 2}, r"One number a row for two classes.*p -> \[1 - p, p\]"),
    "axes of length one": (one(torch.rand(6, 10, 1, 1)), {}, r"Drop the axes of length one: \.flatten\(1\)"),
    "ragged": (one([[0.1] * 10] * 5 + [[0.1] * 9]), {}, r"rows of one shape, but sample 0 has \(10,\) and sample 5 has \(9,\)"),
    "a word twice": (one([[{"label": "c1", "score": 0.1}, {"label": "c1", "score": 0.8}]] * 6), {"classes": WORDS},
                     r"each class once from the target .*answered 'c1' twice.*row 0 of a call with 6"),
    "a word in two cases": (one([{"c1": 0.1}] * 5 + [{"c1": 0.1, "C1": 0.8}]), {"classes": WORDS},
                            r"each class once .*answered 'c1' and 'C1', which are one class.*row 5 of a call with 6"),
    "a word of two classes": (one([{"A b": 0.1}] * 6), {"classes": ["a_b", "a b"]}, r"'A b' stands for several of the class words"),
    "a number that is no class": (one([{"10": 0.1}] * 6), {}, r"words from '0' to '9' \(classes=10\) from .*answered '10'"),
    "complex": (one(P[:6] + 1j), {}, r"Expected real scores from .*complex"),
    "complex, numpy": (one(P[:6].numpy() + 1j), {}, r"Expected real scores from .*complex"),
    "tuple": (lambda x: (P[:6], P[:6]), {}, r"returned a tuple of .*\(6, 10\)"),
}  # fmt: skip


def test_class_words_that_are_told_apart() -> None:
    """By their case alone; but none stands for two classes."""
    reply = Oracle(one([{"A": 0.1, "a": 0.9}]), "scores", ["a", "A"], returns="probabilities")(X[:1])
    assert torch.allclose(reply.values, torch.tensor([[0.9, 0.1]]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"class words that differ, but 'cat' is there 2 times.*classes=3"):
        Oracle(answering(P), "scores", ["cat", "dog", "cat"])
    with pytest.raises(TargetError, match="'cat' stands for several of the class words"):
        Oracle(FunctionTarget(one(["dog", "cat"]), class_names=["cat", "dog", "cat"]), "labels", 3)(X[:2])


def test_numbers_as_words() -> None:
    shown = Oracle(lambda x: [{str(i): float(p) for i, p in enumerate(row)} for row in P[: len(x)]], "scores", 10)(X[:3]).values
    assert torch.allclose(shown, P[:3], atol=1e-6)  # type: ignore[arg-type]
    best = Oracle(one([{"3": 0.9, "1": 0.06}]), "scores", 10)(X[:1]).values
    assert torch.allclose(best[0, [3, 1, 0]], torch.tensor([0.9, 0.06, 0.005]))  # type: ignore[index]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read(name: str) -> None:
    f, how, message = REFUSED[name]
    with pytest.raises(TargetError, match=message):
        Oracle(f, "scores", **{"classes": 10, **how})(X[:6])


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize(("returns", "number"), [("probabilities", 0.8), ("percent", 80.0), ("logits", float(np.log(4.0)))])
def test_one_number_a_row_is_the_second_of_two_classes(returns: str, number: float, shape: tuple[int, ...]) -> None:
    reply = Oracle(lambda x: torch.full(shape, number), "scores", 2, returns=returns)(X[:6])
    assert torch.allclose(reply.values, torch.tensor([0.2, 0.8]).expand(6, 2)) and bool((reply.label == 1).all())  # type: ignore[arg-type]


class TestFixedBatches:
    W = torch.randn(4, 10, generator=torch.Generator().manual_seed(3))

    def of(self, rows: int, sizes: list[int]) -> Callable[[Tensor], Tensor]:
        def f(x: Tensor) -> Tensor:
            sizes.append(len(x))
            assert len(x) == rows, "built for one size"
            return x.flatten(1) @ self.W

        return f

    def test_short_calls_are_filled_up_and_cut_back(self) -> None:
        class Net(nn.Module):
            def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
                super().__init__()
                self.f = f

            def forward(self, x: Tensor) -> Tensor:
                return self.f(x)

        sizes: list[int] = []
        f = self.of(4, sizes)
        for target in (FunctionTarget(f, batch=4), ModuleTarget(Net(f), batch=4), Adapted(f, batch=4)):
            oracle = Oracle(target, "logits", 10)
            assert torch.equal(oracle(X[:6]).values, X[:6].flatten(1) @ self.W)  # type: ignore[arg-type]
            assert oracle.rows == 6 and set(sizes) == {4} and oracle.max_rows == 4

    def test_the_hint_works_when_followed(self) -> None:
        f = self.of(4, [])
        y = (X[:6].flatten(1) @ self.W).argmax(1)
        with pytest.raises(TargetError, match=r"answered calls with 4 images only.*FunctionTarget\(model, batch=4\).*--batch 4") as e:
            bb.attack(Oracle(f, "scores", 10, rows_per_call=4), X[:6], y, "square", bb.Linf(0.1), 20)
        assert int(e.value.result.queries.sum()) == 4
        assert bb.attack(Oracle(FunctionTarget(f, batch=4), "scores", 10), X[:6], y, "square", bb.Linf(0.1), 20).complete

    def test_a_batch_is_a_whole_number(self) -> None:
        with pytest.raises(ValueError, match="batch to be a whole number of rows, at least 1, but it was 0"):
            FunctionTarget(lambda x: x, batch=0)


class TestHalfPrecision:
    def test_the_grid_is_announced(self) -> None:
        """In bfloat16 numbers below one are 2**-8 apart, in float16 2**-11; float32 stays as it was."""
        for dtype, step in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8), (torch.float32, 0.0), (torch.float64, 0.0)):
            oracle = Oracle(nn.Sequential(nn.Flatten(), nn.Linear(4, 10)).to(dtype), "logits", 10)
            assert (oracle.probe, oracle.precision, oracle.resolution, oracle.rounding) == (step, 2 * step, 2 * step, 0.0)
            below = torch.nextafter(torch.ones((), dtype=dtype), torch.zeros((), dtype=dtype)) if step == 0 else None
            assert below is not None or float(torch.tensor(1 - step, dtype=dtype)) == 1 - step
            assert step == 0 or float(torch.tensor(1 - step / 2, dtype=dtype)) in (1.0, 1 - step)

    def test_probes_step_over_it(self) -> None:
        """Differences of 1e-4 vanish in bfloat16; of two steps of its grid they do not."""
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 10)).to(torch.bfloat16)
        with torch.no_grad():
            net[1].weight.copy_(3 * torch.randn(10, 4, generator=torch.Generator().manual_seed(1)))
        x = X * 0.6 + 0.2
        y = Oracle(net, "labels", 10)(x).label
        r = bb.attack(Oracle(net, "logits", 10), x, y, "zoo", bb.L2(1.0), 200)
        assert r.success.float().mean() > 0.8


class TestScikitLearn:
    D = np.random.default_rng(0).random((60, 4))
    SEVERAL = np.stack([D[:, 0] > 0.5, D[:, 1] > 0.5, D[:, 2] > 0.5], 1).astype(int)

    def refused(self, model: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            SklearnTarget(model)

    def test_several_labels_at_once(self) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.multioutput import MultiOutputClassifier
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.tree import DecisionTreeClassifier

        self.refused(MLPClassifier((4,), max_iter=2).fit(self.D, self.SEVERAL), "several labels: its 3 outputs are independent")
        several = MultiOutputClassifier(LogisticRegression()).fit(self.D, self.SEVERAL)
        self.refused(several, r"several labels: it was fitted on 3 labels at once.*\(x.flatten\(1\).numpy\(\)\)\[j\], classes=2")
        self.refused(DecisionTreeClassifier().fit(self.D, self.SEVERAL), "fitted on 3 labels at once")
        rest = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())).fit(self.D, self.SEVERAL)
        self.refused(rest, r"fitted on 3 labels at once.*\[:, j\], classes=2, returns='probabilities'")
        told = Oracle(lambda x: rest.predict_proba(x.flatten(1).numpy())[:, 1], classes=2, returns="probabilities")
        assert torch.allclose(told(X).values[:, 1].double(), torch.from_numpy(rest.predict_proba(X.flatten(1).numpy())[:, 1]))  # type: ignore[index]
        both = Oracle(lambda x: several.predict_proba(x.flatten(1).numpy())[1], classes=2, returns="probabilities")
        assert both(X).values.shape == (16, 2)  # type: ignore[union-attr]

    def test_rows_that_do_not_sum_to_one(self) -> None:
        """A classifier of somebody's own, of which nothing else tells."""

        class Own:
            classes_ = np.arange(3)

            def fit(self) -> None: ...
            def predict(self) -> None: ...
            def predict_proba(self, x: np.ndarray) -> np.ndarray:
                return np.full((len(x), 3), 0.7)

        with pytest.raises(TargetError, match=r"rows of predict_proba sum to 2.1 to 2.1"):
            Oracle(Own(), "scores", 3)(X)

    def test_no_classifier(self) -> None:
        from sklearn.linear_model import LinearRegression, LogisticRegression
        from sklearn.tree import DecisionTreeClassifier

        self.refused(LinearRegression().fit(self.D, self.D[:, 0]), "Expected a classifier, but LinearRegression is a regressor. Fit a cl")
        self.refused(DecisionTreeClassifier().fit(self.D, np.zeros(60, int)), "at least two classes, but .* was fitted on one")
        self.refused(LogisticRegression(), "Call fit first")

    def test_numbers_as_words_are_in_their_order(self) -> None:
        """Not "0", "1", "10", "11", "2"; but the words that the user gives win."""
        from sklearn.linear_model import Perceptron
        from sklearn.neighbors import KNeighborsClassifier

        rows, y = np.eye(12), np.arange(12)
        x = torch.eye(12)
        for model in (KNeighborsClassifier(1), Perceptron()):
            model.fit(rows, y.astype(str))
            assert Oracle(model, "labels", 12)(x).label.tolist() == y.tolist()
            given = [str(i) for i in (*range(11, 0, -1), 0)]
            assert Oracle(model, "labels", given)(x).label.tolist() == [given.index(str(i)) for i in range(12)]
            alphabet = sorted(map(str, y))
            assert Oracle(model, "labels", alphabet)(x).label.tolist() == [alphabet.index(str(i)) for i in range(12)]
        near = KNeighborsClassifier(1).fit(rows, y.astype(str))
        assert torch.equal(Oracle(near, "scores", 12)(x).values, torch.eye(12))  # type: ignore[arg-type]

    def test_its_words_in_another_order(self) -> None:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression().fit(self.D, np.array(["cat", "dog"])[self.SEVERAL[:, 0]])
        with pytest.raises(ValueError, match="order of LogisticRegression, cat, dog, but they were dog, cat"):
            Oracle(model, "scores", ["dog", "cat"])
        assert Oracle(model, "scores", ["cat", "dog"])(X).values.shape == (16, 2)  # type: ignore[union-attr]


def test_what_a_user_says_against_the_targets_announcement() -> None:
    target = FunctionTarget(answering(P * 100), returns="probabilities")
    message = r"Expected probabilities .* as announced, .*They are percentages: Oracle\(..., returns='percent'\)"
    with pytest.raises(TargetError, match=message):
        Oracle(target, "scores", 10)(X)
    assert torch.allclose(Oracle(target, "scores", 10, returns="percent", rows_per_call=16)(X).values, P, atol=1e-6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="returns to be 'probabilities', which is what"):
        Oracle(target, "scores", 10, returns="logits")
    with pytest.raises(ValueError, match="Expected returns to be auto, logits, probabilities, percent or labels, but it was 'votes'"):
        FunctionTarget(answering(P), returns="votes")
    assert Oracle(Adapted(target, returns="percent"), "scores", 10).returns == "percent"


def test_guessing_is_said_with_its_causes() -> None:
    """No better than one in ten of 12 images; not where it is better, nor where there are too few to tell."""
    y = P.argmax(1)
    quarter = torch.where(torch.arange(16) < 4, y, (y + 1) % 10)  # from 10.2 % on, by Wilson's interval
    for labels, n, said in (((y + 1) % 10, 12, True), (y, 12, False), ((y + 1) % 10, 2, False), (quarter, 16, False)):
        r = bb.attack(Oracle(answering(P), "scores", 10, rows_per_call=16), X[:n], labels[:n], "square", bb.Linf(0.1), 2)
        assert ("no better than guessing one of 10 classes" in r.summary()) is said


def test_images_and_labels_that_are_nearly_right() -> None:
    from blackbox.checks import as_images, as_labels

    x = torch.tensor([[[-1e-9, 1.0000002]]])
    assert as_images(x).tolist() == [[[0.0, 1.0]]] and x.min() < 0
    assert as_images(np.array([[0.5, 0.25]]).astype(">f8")).tolist() == [[0.5, 0.25]]
    with pytest.raises(ValueError, match=r"sample 0 has \(1, 2\) and sample 1 has \(1, 3\). Resize or cut them to one size"):
        as_images([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(ValueError, match=r"shape \(2, 1\). Drop the second axis: y.squeeze\(1\)"):
        as_labels(torch.zeros(2, 1, dtype=torch.int64), 2, 3)


def test_a_row_of_logits_whose_largest_is_zero_shows_a_class() -> None:
    """Only zeros alone show none; the first answers look like shares, so that it is in doubt that they are logits."""
    oracle = bb.Oracle(lambda x: torch.stack([0.55 - x.flatten(1).mean(1), 0 * x[:, 0, 0, 0]], 1), "logits", 2)
    assert oracle(torch.full((1, 1, 2, 2), 0.5)).label.tolist() == [0]
    assert oracle(torch.full((1, 1, 2, 2), 0.6)).label.tolist() == [1]

"""Rejections: rows to which a target refuses an answer, from what it says to what the result tells."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.oracle import TargetError
from blackbox.protocol import Access, Ask, Tell
from blackbox.targets import Answer, Blacklight, LabelsOnly, Rounded, as_target
from blackbox.targets.rejections import split, spread
from blackbox.testing import ReluNet

NET = ReluNet.random((3, 8, 8))


def images(n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, 3, 8, 8), dtype=np.float32))


X = images(6)
Y = bb.Oracle(NET, "labels", 3)(X).label


class Every:
    """Rejects every query whose number is in ``which``, or that ``when`` says; answers NaN there."""

    name, device = "every", torch.device("cpu")

    def __init__(self, which: Any = (), form: str = "Answer", labels: bool = False) -> None:
        self.which, self.form, self.labels, self.number = set(which), form, labels, 0
        self.returns = "labels" if labels else "logits"
        self.inner = as_target(NET)

    def predict(self, x: Tensor) -> Any:
        no = torch.tensor([self.number + i in self.which for i in range(len(x))])
        self.number += len(x)
        scores = self.inner.predict(x)
        scores[no] = torch.nan
        label = scores.argmax(1)
        if self.labels:
            return Answer(label, None, no)
        if self.form == "dict":
            return {"scores": [None if r else s for s, r in zip(scores.tolist(), no.tolist(), strict=True)], "rejected": no.tolist()}
        return SimpleNamespace(scores=scores.numpy(), rejected=no.numpy()) if self.form == "object" else Answer(label, scores, no)


class Probing(bb.Attack):
    """Asks about two candidates, then about three probes, and keeps what it was told."""

    access, norms = Access.LABELS, ("Linf",)

    def __init__(self) -> None:
        self.told: list[Tell] = []

    def init(self, t: Any) -> Iterator[Any]:
        for ask in (Ask(t.x0), Ask(t.x0 + 0.01), Ask(t.x0, u=torch.ones(3, *t.shape), h=0.01)):
            self.told.append((yield ask))
        return t.x0.clone()

    def step(self, t: Any, s: Any, k: int) -> Any:
        return None


@pytest.mark.parametrize("form", ["Answer", "object", "dict"])
@pytest.mark.parametrize("access", ["scores", "logits", "topk", "labels"])
def test_a_target_says_in_any_form_which_rows_it_rejected(form: str, access: str) -> None:
    reply = bb.Oracle(Every({1, 3}, form), access, 3, returns="logits", k=2 if access == "topk" else None)(X[:4])
    plain = bb.Oracle(NET, access, 3, returns="logits", k=2 if access == "topk" else None)(X[:4])
    assert reply.rejected is not None and reply.rejected.tolist() == [False, True, False, True] and plain.rejected is None
    assert reply.label[[1, 3]].tolist() == [-1, -1] and torch.equal(reply.label[[0, 2]], plain.label[[0, 2]])
    assert torch.isnan(reply.probabilities()[[1, 3]]).all() and torch.isnan(reply.confidence()[[1, 3]]).all()
    assert torch.allclose(reply.probabilities()[[0, 2]], plain.probabilities()[[0, 2]].float())


def test_all_rows_of_the_first_call_may_be_rejected_and_channels_pass_it_on() -> None:
    for target in (Every(range(4)), Every(range(4), labels=True)):
        o = bb.Oracle(target, "labels", 3, rows_per_call=4)
        reply = o(X)
        assert reply.rejected is not None and reply.rejected.tolist() == [True] * 4 + [False] * 2 and o.rows == 6
        assert torch.equal(reply.label[4:], Y[4:])
    around = bb.Oracle(LabelsOnly(Rounded(Every({0, 4}), 2)), "labels", 3)(X)
    assert around.rejected is not None and around.rejected.nonzero()[:, 0].tolist() == [0, 4]
    assert torch.equal(around.label[1:4], Y[1:4])
    double = bb.Oracle(Blacklight(Every({0}), action="reject"), "scores", 3)(torch.cat([X[:2], X[1:2]]))
    assert double.rejected is not None and double.rejected.tolist() == [True, False, True]


def test_a_rejection_without_a_status_is_refused_in_a_sentence() -> None:
    def silent(x: Tensor) -> Tensor:
        out = NET(x)
        out[0] = torch.nan
        return out

    with pytest.raises(TargetError, match="has to say so: blackbox.targets.Answer"):
        bb.Oracle(silent, "scores", 3)(X)
    with pytest.raises(TargetError, match="has to say so"):
        bb.Oracle(lambda x: torch.full((len(x),), -1), "labels", 3)(X)
    with pytest.raises(TargetError, match="each of the 6 images of a call whether"):
        bb.Oracle(lambda x: Answer(torch.zeros(1, dtype=torch.int64), None, torch.tensor([True])), "labels", 3)(X)
    with pytest.raises(TargetError, match="one bool a row"):
        bb.Oracle(lambda x: {"labels": [0] * 6, "rejected": [0.5] * 6}, "labels", 3)(X)
    with pytest.raises(TargetError, match="Expected scores or labels beside"):
        bb.Oracle(lambda x: {"rejected": [False] * 6}, "labels", 3)(X)


def test_split_and_spread_are_inverse() -> None:
    whole = Every({2}).predict(X[:4])
    part, rejected = split(whole)
    assert rejected is not None and len(part.label) == 3
    back = spread(part, rejected)
    assert torch.equal(back.label[~rejected], whole.label[~rejected]) and back.label[2] == -1 and torch.isnan(back.scores[2]).all()


@pytest.mark.parametrize("access", ["logits", "labels"])
def test_an_attack_sees_the_clean_loss_and_the_mask(access: str) -> None:
    """Queries, four samples, rows in order: 0-3 clean, 4-7 and 8-11 candidates, then three probes a sample."""
    attack = Probing()
    which = {5, 12, 15}
    r = bb.attack(bb.Oracle(Every(which), access, 3, rows_per_call=4), X[:4], Y[:4], attack, bb.Linf(0.1), budget=20)
    first, second, probes = attack.told
    assert first.rejected.tolist() == [False, True, False, False] and not second.rejected.any()
    assert probes.rejected.nonzero().tolist() == [[0, 0], [1, 0]]
    assert first.loss[1] == r.clean_loss[1] and probes.loss[0, 0] == r.clean_loss[0] and not first.adv[1]
    assert first.loss.isfinite().all() and probes.loss.isfinite().all()
    assert r.flagged.tolist() == [1, 2, 0, 0] and r.queries.tolist() == [6] * 4
    assert "3 of 24 charged queries were rejected" in r.summary()
    bare = Probing()
    bb.attack(bb.Oracle(NET, access, 3, returns="logits"), X[:4], Y[:4], bare, bb.Linf(0.1), budget=20)
    assert all(t.rejected is None for t in bare.told)


def test_a_rejected_clean_image_is_unknown_not_wrong(tmp_path: Any) -> None:
    r = bb.attack(bb.Oracle(Every({1}), "logits", 3), X[:3], Y[:3], "square", bb.Linf(0.01), budget=5)
    assert [s.name for s in r.status] == ["BUDGET", "REJECTED", "BUDGET"] and r.queries.tolist() == [5, 1, 5]
    assert r.clean_known.tolist() == r.known.tolist() == [True, False, True] and not r.attacked[1]
    assert r.clean_accuracy.n == 2 and "the target rejected 1 clean image" in r.summary() and r.records()[1]["clean_loss"] is None
    again = bb.AttackResult.load(r.save(tmp_path))
    assert again.status == r.status and again.flagged.tolist() == [0, 1, 0]
    with_votes = bb.attack(
        bb.Oracle(Every({3}), "logits", 3), X[:3], (Y[:3] + torch.tensor([1, 0, 0])) % 3, "square", bb.Linf(0.01), budget=20, votes=3
    )
    assert with_votes.status[0].name == "REJECTED"  # a fresh answer about the wrong label was rejected


def test_a_found_example_was_answered_and_its_check_may_be_rejected() -> None:
    """The second query, the first candidate, is adversarial; where the target rejects it, it is not found with it."""
    far = bb.Linf(0.5)
    found = bb.attack(bb.Oracle(NET, "logits", 3), X, Y, "square", far, budget=30)
    hit = int(found.success.nonzero()[0])
    at = int(found.first_success_query[hit])
    one = slice(hit, hit + 1)
    same = bb.attack(bb.Oracle(Every({at}), "logits", 3), X[one], Y[one], "square", far, budget=30, ids=[hit])
    assert same.success.all() and same.verified.tolist() == [-1]
    without = bb.attack(bb.Oracle(Every({at - 1}), "logits", 3), X[one], Y[one], "square", far, budget=30, ids=[hit])
    assert int(without.first_success_query[0]) != at and without.flagged.tolist() == [1]


@pytest.mark.parametrize("kept", ["journal", "checkpoint"])
@pytest.mark.parametrize("labels", [False, True])
def test_taken_up_again_the_run_ends_as_if_it_had_not_been_cut(tmp_path: Any, kept: str, labels: bool) -> None:
    """Every third query is rejected; the target fails once, in the middle."""
    how: dict[str, Any] = {"threat": bb.Linf(0.05), "budget": 20, "seed": 3}
    name = "rays" if labels else "nes"

    def oracle(target: Any) -> bb.Oracle:
        return bb.Oracle(target, "labels" if labels else "logits", 3, rows_per_call=4)

    class Cut(Every):
        def predict(self, x: Tensor) -> Any:
            if self.number >= 48:
                raise ConnectionError("gone")
            return super().predict(x)

    which = range(7, 1000, 3)
    whole = bb.attack(oracle(Every(which, labels=labels)), X[:3], Y[:3], name, **how)
    cut = Cut(which, labels=labels)
    with pytest.raises(TargetError):
        bb.attack(oracle(cut), X[:3], Y[:3], name, **how, **{kept: tmp_path / "run"})
    rest = Every(which, labels=labels)
    rest.number = cut.number
    back = oracle(rest)
    rest.which = {n + CHECKS[kept] for n in rest.which}  # the check whether it is the same target comes first
    r = bb.attack(back, X[:3], Y[:3], name, **how, **{kept: tmp_path / "run"})
    assert r.queries.tolist() == whole.queries.tolist() and r.flagged.tolist() == whole.flagged.tolist() and whole.flagged.sum() > 5
    assert torch.equal(r.x_adv, whole.x_adv) and torch.equal(r.loss, whole.loss)


CHECKS = {"journal": 8, "checkpoint": 3}  # recorded queries that are asked again, uncharged


@pytest.mark.parametrize("form", ["npy", "json"])
def test_a_service_says_it_in_the_protocol(form: str) -> None:
    """In one process: what the reference server answers, as the client reads it; the same key gets the same rejection."""
    from blackbox.serving import Service
    from blackbox.targets import HttpTarget, wire

    service = Service(bb.Oracle(Every({1, 2}), "logits", 3, rows_per_call=2), None)
    client = HttpTarget.__new__(HttpTarget)
    client.announced, client.url, client._rate, client._kind = service.info(), "", None, wire.NPY if form == "npy" else wire.JSON
    client.info, client._most, client.device = as_target(NET).info, 8, torch.device("cpu")
    client._wait = lambda rows: None  # type: ignore[method-assign]

    def ask(method: str, path: str, body: Any, most: int) -> bytes:
        said = wire.unpack(body, client._kind, ("images", "keys"))
        return wire.pack(service.answer(said["images"], np.array(["a", "b", "c"])), client._kind)

    client._ask = ask  # type: ignore[method-assign]
    for _ in range(2):
        reply = bb.Oracle(client, "logits", 3, returns="logits")(X[:3])
        assert reply.rejected is not None and reply.rejected.tolist() == [False, True, True] and reply.label[0] == Y[0]
    assert service.oracle.rows == 3 and service.replayed == 3

"""Detectors with a memory: what PIHA and QPA flag, what it costs to be flagged, accounts that are locked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.defences.piha import hue
from blackbox.oracle import TargetError
from blackbox.targets import PIHA, QPA, Answer, Blacklight
from blackbox.testing import ReluNet

NET = ReluNet.random((3, 32, 32))


def pictures(n: int, seed: int = 0) -> Tensor:
    """Smooth coloured images, which unlike noise have a hue."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((n, 3, 32, 32))
    smooth = gaussian_filter(noise, (0, 0, 4, 4))
    return torch.from_numpy((0.5 + 0.2 * smooth / smooth.std()).clip(0, 1).astype(np.float32))


X = pictures(20)


def near(x: Tensor, eps: float, seed: int = 5) -> Tensor:
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=tuple(x.shape)).astype(np.float32)
    return (x + eps * torch.from_numpy(signs)).clamp(0, 1)


def test_hue_is_that_of_the_colour_wheel() -> None:
    colours = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [0.5, 0.5, 0.5]], float)
    assert hue(colours[..., None, None])[:, 0, 0] == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0])


def test_piha_flags_what_has_the_hue_of_an_earlier_query() -> None:
    guard = PIHA(NET)
    guard.predict(X)
    assert not guard.flags.any()  # other images
    guard.predict(near(X, 4 / 255))
    assert guard.flags[20:].mean() >= 0.9  # small noise, which the smoothing takes away
    guard.predict(pictures(20, 1))
    assert not guard.flags[40:].any()
    guard.reset()
    guard.predict(X[:1])
    guard.predict(0.8 * X[:1] + 0.1)  # darker and flatter: of the same hue
    assert guard.flags.tolist() == [False, True]


def test_piha_counts_bits_below_the_threshold() -> None:
    made = PIHA(NET).hashes(torch.cat([X[:1], near(X[:1], 12 / 255)]))
    differ = int(np.unpackbits(made[0] ^ made[1]).sum())
    assert made.shape == (2, 25) and 0 < differ  # 5 x 5 blocks, 8 neighbours each
    for threshold, flagged in ((differ / 200, False), ((differ + 1) / 200, True)):
        guard = PIHA(NET, threshold=threshold)
        guard.predict(torch.cat([X[:1], near(X[:1], 12 / 255)]))
        assert guard.flags.tolist() == [False, flagged]
    grey = PIHA(NET).hashes(X[:3, :1])
    assert len({row.tobytes() for row in grey}) == 3
    with pytest.raises(ValueError, match=r"Expected images \[m, 1 or 3"):
        PIHA(NET).hashes(X.flatten(1))


def test_qpa_flags_a_sequence_that_no_single_likeness_gives_away() -> None:
    """Each query shares few hashes with the one before: below the threshold, above a link."""
    chain = [X[:1]]
    for i in range(14):
        step = chain[-1].clone()
        step[:, :, 20:] = pictures(1, 100 + i)[:, :, 20:]  # the rest stays, and with it a good part of the hashes
        chain.append(step)
    plain, watched = Blacklight(NET, threshold=49), QPA(NET, threshold=49, longest=10)
    for guard in (plain, watched):
        guard.predict(torch.cat(chain))
    assert not plain.flags.any() and watched.flags.tolist() == [False] * 10 + [True] * 5
    watched.predict(pictures(20, 3))  # other images make sequences of their own
    assert not watched.flags[15:].any()
    strict = QPA(NET)
    strict.predict(torch.cat([X[:1], X[:1]]))
    assert strict.flags.tolist() == [False, True]


@pytest.mark.parametrize("kind", [Blacklight, PIHA, QPA])
def test_each_rejects_and_takes_accounts(kind: type) -> None:
    guard = kind(NET, action="reject", accounts=2, lock=2)
    x = X[:1].expand(3, -1, -1, -1)
    reply = bb.Oracle(guard, "scores", 3)(x)  # accounts 0, 1, 0: each remembers its own
    assert reply.rejected is not None and reply.rejected.tolist() == [False, False, True]
    assert reply.label[:2].min() >= 0 and guard.locked == 0


def test_accounts_run_out_with_a_sentence_and_what_was_paid_is_kept() -> None:
    guard = Blacklight(NET, action="reject", accounts=2, lock=3)
    oracle = bb.Oracle(guard, "scores", 3, rows_per_call=4)
    with pytest.raises(TargetError, match="has locked all 2, after 3 flagged queries each") as caught:
        bb.attack(oracle, X[:4], bb.Oracle(NET, "labels", 3)(X[:4]).label, "square", bb.Linf(0.01), budget=50)
    result = caught.value.result
    assert guard.locked == 2 and int(guard.flags[:-1].sum()) >= 6
    assert int(result.queries.sum()) == oracle.rows == len(guard.flags) and int(result.flagged.sum()) == int(guard.flags.sum())
    assert not result.complete and "the target failed" in result.summary()
    guard.reset()
    assert guard.locked == 0 and not bb.Oracle(guard, "scores", 3)(X).rejected.any()  # type: ignore[union-attr]


def test_the_rest_of_the_call_in_which_the_last_is_locked_is_refused_whatever_the_action() -> None:
    guard = Blacklight(NET, action="answer", lock=1)
    reply = bb.Oracle(guard, "scores", 3, rows_per_call=5)(X[:1].expand(5, -1, -1, -1))
    assert reply.rejected is not None and reply.rejected.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"action": "hide"}, "Expected action to be one of answer, replay, reject"),
        ({"accounts": 0}, "Expected accounts to be"),
        ({"accounts": 1.5}, "Expected accounts to be"),
        ({"lock": -1}, "Expected lock to be"),
    ],
)
def test_bad_settings(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Blacklight(NET, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Expected link from 1"):
        QPA(NET, link=0)
    with pytest.raises(ValueError, match="Expected block"):
        PIHA(NET, block=0)


def test_an_image_of_one_block_has_no_hash() -> None:
    with pytest.raises(ValueError, match=r"several blocks.*\[5, 7\] pixels"):
        PIHA(lambda x: x).hashes(torch.rand(2, 3, 5, 7))


def test_an_earlier_answer_stands_for_one_that_the_target_rejects_itself() -> None:
    def target(x: Tensor) -> Answer:
        asked.append(1)
        return Answer(torch.full((1,), 2), torch.tensor([[0.1, 0.25, 0.65]]), torch.tensor([len(asked) > 1]))

    asked: list[int] = []
    oracle = bb.Oracle(Blacklight(target, action="replay"), "scores", 3)
    first, second = oracle(X[:1]), oracle(X[:1])
    assert first.values is not None and second.values is not None and torch.equal(first.values, second.values)

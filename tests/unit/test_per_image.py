"""Attacks that search for one image at a time by asking a torch model, and the turns that they run by."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.per_image import Job
from blackbox.testing import AttackContract
from blackbox.testing.targets import Failing, Recording
from blackbox.turns import Stopped, Turn, seed_all


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Light(nn.Module):
    """Class 1 where the first pixel is above a half, class 2 never."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1)[:, 0]
        return torch.stack([0.5 - first, first - 0.5, first - 9], 1)


X = torch.tensor([0.45, 0.3, 0.1]).view(3, 1, 1, 1).expand(3, 1, 2, 2).clone()
Y = torch.zeros(3, dtype=torch.int64)


@dataclass(frozen=True)
class Own(bb.PerImage):
    """Any function as a search."""

    access: ClassVar[bb.Access] = bb.Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    function: Callable[..., object] = print

    def search(self, model: nn.Module, x: Tensor, y: Tensor, job: Job) -> object:
        return self.function(model, x, y, job)


class Outside(Own):
    minimises: ClassVar[bool] = True


class Remembers(Own):
    remember: ClassVar[bool] = True


def lit(x: Tensor, *by: float) -> Tensor:
    """The image with its first pixel raised, a row for each."""
    z = x.repeat(len(by), 1, 1, 1)
    z[:, 0, 0, 0] += torch.tensor(by)
    return z


def go(function: Callable[..., object], kind: type[Own] = Own, access: str = "scores", budget: int = 9, **more: Any) -> bb.AttackResult:
    x, y = more.pop("x", X), more.pop("y", Y)
    oracle = more.pop("oracle", None) or bb.Oracle(more.pop("target", Light()), access, 3, returns="logits", rows_per_call=9)
    return bb.attack(oracle, x, y, kind(function=function), bb.Linf(0.1), budget, **more)


def steps(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
    model(x)  # paid for by the clean check
    model(lit(x, 0.01, 0.02))
    model(lit(x, 0.09))
    model(lit(x, 0.03, 0.02, 0.04))


def test_a_known_sequence_of_questions_has_its_counts() -> None:
    """The first image is fooled by the fourth query, the others' searches end after 1 + 2 + 1 + 3."""
    oracle = bb.Oracle(seen := Recording(Light()), "scores", 3, returns="logits", rows_per_call=9)
    result = go(steps, oracle=oracle)
    assert result.queries.tolist() == [4, 7, 7] and result.first_success_query.tolist() == [4, 0, 0]
    assert [s.name for s in result.status] == ["SUCCESS", "GAVE_UP", "GAVE_UP"] and result.distance[0] == pytest.approx(0.09)
    assert seen.sizes[:7] == [3, 3, 3, 3, 2, 2, 2] and oracle.rows == 18  # a round is one call
    assert go(steps, budget=5).queries.tolist() == [4, 5, 5]
    assert go(steps, Remembers).queries.tolist() == [4, 6, 6]


def test_what_a_search_is_told_and_shown() -> None:
    def look(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        z = model(lit(x, 0.0, 0.02))
        seen.append((x.shape, y.tolist(), job.budget, job.classes, job.threat.eps, z.shape, int(z[0].argmax()), bool(z.isfinite().all())))
        seeds.append((job.seed, random.random(), float(torch.rand(())), float(np.random.rand())))

    for access in ("scores", "labels"):
        seen: list[Any] = []
        seeds: list[Any] = []
        go(look, access=access, ids=[4, 5, 6])
        assert seen == [((1, 1, 2, 2), [0], 9, 3, 0.1, (2, 3), 0, True)] * 3
        assert all(len({*column}) == 3 for column in zip(*seeds, strict=True))
    again, seeds = seeds, []
    go(look, access="labels", ids=[6, 5], x=X[[2, 1]], y=Y[:2])  # a function of seed and id, in any company
    assert seeds == again[:0:-1]
    seeds = []
    go(look, access="labels", ids=[4, 5, 6], seed=1)
    assert not {*again} & {*seeds}


def test_a_search_may_write_into_what_it_is_given() -> None:
    def spoil(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        z = lit(x, 0.02, 0.09)
        x.zero_(), y.zero_(), model(z[:1]).zero_(), model(z[1:])

    assert go(spoil).distance[0] == pytest.approx(0.09) and X[0, 0, 0, 0] == 0.45


def test_rows_are_moved_into_the_threat_unless_the_attack_comes_from_outside() -> None:
    def jump(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        answers.append([int(model(lit(x, 0.6)).argmax()), int(model(lit(x, 0.08)).argmax())])

    answers: list[Any] = []
    assert go(jump).first_success_query.tolist() == [2, 0, 0] and answers == [[0, 0], [0, 0]]
    answers.clear()
    result = go(jump, Outside)
    assert result.first_success_query.tolist() == [3, 0, 0] and answers == [[1, 1], [1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda model, x: {}["mine"], "KeyError: 'mine' after 1 queries"),
        (lambda model, x: model(x / 0), "ValueError: Expected Own to ask about finite points, but for image 8"),
    ],
)
def test_a_search_that_raises_gives_up_its_image_and_the_others_go_on(fault: Any, says: str) -> None:
    def broken(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        model(lit(x, 0.02))
        if x[0, 0, 0, 0] == 0.3:
            fault(model, x)
        model(lit(x, 0.09))

    with pytest.warns(UserWarning, match=f"Own to search to its end, but for image 8 it raised {says}"):
        result = go(broken, ids=[7, 8, 9])
    assert result.queries.tolist() == [3, 2, 3] and result.success.tolist() == [True, False, False]
    assert result.status[1] is bb.Status.GAVE_UP


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda *given: 1 / 0, "example of image 0, but before its first query it raised ZeroDivisionError"),
        (lambda model, x, y, job: model(x[0]), r"ValueError: Expected Own .* images \[m, 1, 2, 2\], but for image 0 it was \(1, 2, 2\)"),
        (lambda model, x, y, job: exit(), r"Own .* called sys.exit"),
    ],
)
def test_a_search_that_cannot_begin_ends_the_run(fault: Any, says: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=says) as error:
        go(fault)
    assert error.value.result.queries.tolist() == [1, 1, 1]  # type: ignore[attr-defined]


def in_threads(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda by: model(lit(x, by)), (0.01, 0.02, 0.03, 0.04)))


def descend(model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
    """By a gradient that has another part beside the model's."""
    (model(x.requires_grad_())[0, 0] + x.square().sum()).backward()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (in_threads, "RuntimeError: Expected a search to ask from the thread that it runs in, but it asked from "),
        (descend, "before its first query it raised RuntimeError: Expected a search without gradients"),
        (lambda model, x, y, job: model(x).sum().backward(), r"require grad .* \(A model behind queries gives no gradients"),
    ],
)
def test_new_what_a_model_behind_queries_cannot_do_is_refused(function: Any, says: str) -> None:
    with pytest.raises(RuntimeError, match=says):
        go(function)


def test_a_run_that_is_stopped_loses_nothing_and_leaves_no_thread(tmp_path: Path) -> None:
    """Neither while its error is held; with the journal it goes on, and no answer is paid twice."""
    held = []
    for how, kind in (("raise", bb.TargetError), ("interrupt", KeyboardInterrupt)):
        before, journal = set(threading.enumerate()), tmp_path / f"{how}.sqlite"
        with pytest.raises(kind) as error:
            go(steps, target=Recording(Failing(Light(), 4, how)), journal=journal)
        held.append(error)
        assert set(threading.enumerate()) == before and error.value.result.queries.tolist() == [3, 3, 3]  # type: ignore[attr-defined]
        seen = Recording(Light())
        result = go(steps, target=seen, journal=journal)
        assert result.queries.tolist() == [4, 7, 7]
        assert seen.count == 18 - 9 + 1 + result.config["check_rows"]  # the rest, a verification, and whether the target is the same


def test_searches_do_not_share_a_budget() -> None:
    with pytest.raises(ValueError, match="makes all its queries in one step"):
        go(steps, shared_budget=True)


@dataclass(frozen=True)
class Walk(bb.PerImage):
    """A random walk that keeps what the model likes less, three points at a time; it draws from two global generators."""

    access: ClassVar[bb.Access] = bb.Access.SCORES
    norms: ClassVar[tuple[str, ...]] = ("Linf",)

    def search(self, model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        sign, best, rng = 1 if job.targeted else -1, -torch.inf, np.random.RandomState()
        at = x
        for _ in range(job.budget):
            z = at + job.threat.eps * (2 * torch.rand(3, *x.shape[1:]).round() - 1) * float(rng.rand() < 0.9)
            z = torch.where(torch.rand_like(z) < 0.5, z, at).clamp(x - job.threat.eps, x + job.threat.eps)
            p = sign * model(z).log_softmax(1)[:, y[0]]
            if p.max() > best:
                at, best = z[[int(p.argmax())]], float(p.max())


class TestWalk(AttackContract):
    attack = Walk()
    goals = (False,)
    run_budget = 30
    optimum_budget, optimum_factor = 300, {"Linf": 2.0}  # three random points a step


# ---- turns -------------------------------------------------------------------------------------------------------


def test_turns_have_their_own_generators() -> None:
    def draw(ask: Callable[[Tensor], Tensor]) -> None:
        for _ in range(2):
            own = (np.random.RandomState().rand(), np.random.default_rng().random())
            drawn.append((random.random(), float(torch.rand(())), *map(float, own)))
            ask(torch.zeros(1))

    drawn: list[tuple[float, ...]] = []
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    wanted = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    turns = [Turn(draw), Turn(draw)]
    for turn in (*turns, *turns, *turns):
        turn.resume(torch.zeros(1))
    assert drawn[0] == drawn[1] != drawn[2] == drawn[3] and all(turn.ended and turn.error is None for turn in turns)
    assert [random.random(), float(np.random.rand()), float(torch.rand(()))] == wanted
    assert np.random.RandomState.__module__ == "numpy.random.mtrand" and turns[0].resume() is None


def test_a_seed_of_a_search_is_not_given_to_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose generators are not restored after a turn. On the CPU it is torch's own seed."""

    def draw(ask: Callable[[Tensor], Tensor]) -> None:
        seed_all(3)
        drawn.append(float(torch.rand(())))

    drawn: list[float] = []
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    Turn(draw).resume()
    assert drawn == [float(torch.rand((), generator=torch.Generator().manual_seed(3)))] and not seeded


def test_new_generators_made_before_a_turn_are_still_random_states() -> None:
    def look(ask: Callable[[Tensor], Tensor]) -> None:
        class Other(np.random.RandomState): ...

        made = (before, np.random.RandomState(), Other(3), np.random.default_rng())
        seen.extend((isinstance(each, np.random.RandomState), isinstance(each, Other)) for each in made)

    seen: list[tuple[bool, bool]] = []
    before, turn = np.random.RandomState(1), Turn(look)
    turn.resume()
    assert turn.error is None and seen == [(True, False), (True, False), (True, True), (False, False)]


def test_a_search_that_catches_exceptions_is_stopped_nevertheless() -> None:
    def stubborn(ask: Callable[[Tensor], Tensor]) -> None:
        try:
            ask(torch.zeros(1))
        except Exception:
            ended.append("went on")
        finally:
            ended.append("ended")

    ended: list[str] = []
    turn, unborn = Turn(stubborn), Turn(stubborn)
    turn.resume()
    for each in (turn, turn, unborn):
        each.stop()
    assert ended == ["ended"] and isinstance(turn.error, Stopped) and turn.ended and unborn.ended


def test_an_interrupt_in_the_middle_of_a_turn_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it still draws is not drawn from generators that have been given back."""

    def slow(ask: Callable[[Tensor], Tensor]) -> None:
        begun.set()
        time.sleep(0.05)
        drawn.append(random.random())
        ask(torch.zeros(1))

    def interrupted() -> bool:
        begun.wait()
        raise KeyboardInterrupt

    drawn: list[float] = []
    begun, turn = threading.Event(), Turn(slow)
    monkeypatch.setattr(turn._back, "acquire", interrupted)
    state = random.getstate()
    with pytest.raises(KeyboardInterrupt):
        turn.resume()
    assert turn.ended and len(drawn) == 1 and random.getstate() == state

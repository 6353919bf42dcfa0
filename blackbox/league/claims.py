"""The examples that an entry claims: 8 bits, inside threat and mask, asked about and answered so, and adversarial when looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from blackbox import specs
from blackbox.league.account import Question
from blackbox.league.judge import Told
from blackbox.league.material import as_floats, as_levels, distances, print_of
from blackbox.league.scenario import Scenario
from blackbox.oracle.same import odd

if TYPE_CHECKING:
    from blackbox.league.games import Game
    from blackbox.league.targets import Targets
    from blackbox.league.verify import Verdict
    from blackbox.threat import Threat

CLOSE = 1e-3
"""Of a probability, or of a goal's loss: an example that misses its goal by no more, when it is looked at again, may have been adversarial
in another batch."""


def faults(game: Game, scenario: Scenario) -> Iterator[str]:
    """What is wrong with the claims of a session, in the light of its journal."""
    result, images, threat = game.result, game.account.images, specs.read_threat(scenario.threat)
    if (result.threat.norm, float(result.threat.eps)) != (threat.norm, float(threat.eps)):
        yield f"Expected the result under {scenario.threat}, but it is under {result.threat}."
    if other := _misfit(game):
        yield other
        return
    clean = as_floats(game.clean)
    distance = distances(threat, result.x_adv, clean, game.table)
    for i, claimed in enumerate(game.session.images):
        if claimed.success != (bool(result.success[i]) and images[i].attacked):
            said = "success" if claimed.success else "failure"
            yield f"Expected the outcome of image {claimed.image} as its result has it, but the entry says {said}."
        if int(result.queries[i]) != images[i].rows:
            yield f"Expected {images[i].rows} queries of image {claimed.image} in the result too, but it has {int(result.queries[i])}."
        if claimed.success:
            yield from _example(game, scenario, threat, i, result.x_adv[i], float(distance[i]))
            if claimed.first_success_query != int(result.first_success_query[i]):
                said = f"{int(result.first_success_query[i])}, but the entry says {claimed.first_success_query}"
                yield f"Expected the first success of image {claimed.image} at the query that its result has, {said}."


def _misfit(game: Game) -> str | None:
    """Why the examples of a result are no inputs at all of the session's target; None where they are."""
    result, clean = game.result, as_floats(game.clean)
    if result.ids.tolist() != [image.image for image in game.account.images]:
        return "Expected the result to hold the images of the account in their order, but it holds others."
    if result.x_adv.shape != clean.shape:
        return f"Expected examples of shape {tuple(clean.shape)}, but they have {tuple(result.x_adv.shape)}."
    if (game.table is not None) != (game.clean.dtype == np.float64) or result.x_adv.dtype != clean.dtype:
        wanted, came = (str(each.dtype).removeprefix("torch.") for each in (clean, result.x_adv))
        return f"Expected examples of type {wanted}, but they are {came}."
    return None


def _example(game: Game, scenario: Scenario, threat: Threat, i: int, x: torch.Tensor, distance: float) -> Iterator[str]:
    """What is wrong with one claimed example."""
    claimed, asked = game.session.images[i], game.asked[i]
    told = f"the example of image {claimed.image}"
    if game.table is not None and not game.table.valid(x[None], game.clean[[i]])[0]:
        yield f"Expected {told} to be what a row of the table may be, but it is not."
        return
    if game.table is None and (not bool(x.isfinite().all()) or float(x.min()) < 0 or float(x.max()) > 1):
        yield f"Expected {told} to lie in [0, 1], but it does not."
        return
    levels = as_levels(x[None])
    if float((as_floats(levels)[0] - x).abs().max()) > 1e-6:
        yield f"Expected {told} to be an 8-bit image, but its entries are no multiples of 1/255."
        return
    if distance > threat.eps + threat.tolerance:
        yield f"Expected {told} inside {scenario.threat}, but its distance is {distance:.6g}."
    if claimed.distance is None or abs(claimed.distance - distance) > 1e-5 * max(1.0, distance):
        yield f"Expected the distance of {told}, {distance:.6g}, but the entry has {claimed.distance}."
    same = [q for q in asked if q.print == print_of(levels[0])]
    if not same:
        yield f"Expected {told} to be one that the server was asked about, but it is in no row of the journal about that image."
    elif not _won(same, scenario.votes):
        inside = all(q.inside for q in same)
        why = "the server did not answer so" if inside else "the server found it outside the threat or the mask"
        yield f"Expected {told} to be adversarial, but {why}."
    if not succeeded(asked, claimed.first_success_query, scenario.votes):
        what = "a success" if scenario.votes == 1 else f"the query with which a majority of {scenario.votes} votes was complete"
        yield f"Expected query {claimed.first_success_query} of image {claimed.image} to be {what}, but in the journal it is none."


def succeeded(asked: list[Question], n: int, votes: int) -> bool:
    """Did query ``n`` make an example: by its own answer, or with votes as the last that its image needed? (An attack that goes on may
    claim a nearer example than its first.)"""
    if not 0 < n <= len(asked) or not asked[n - 1].hit:
        return False
    return _won([q for q in asked[:n] if q.print == asked[n - 1].print], votes)


def _won(same: list[Question], votes: int) -> bool:
    """Did the answers about one image make it an example: one hit, or with votes a majority of those that follow a hit? (After a majority
    against it the next hit is another claim, as in the engine.)"""
    if votes == 1:
        return any(q.hit for q in same)
    claimed, yes, no = False, 0, 0
    for q in same:
        if not claimed:
            claimed, yes, no = q.hit, 0, 0
            continue
        yes, no = yes + q.hit, no + (not q.hit)
        if yes > votes // 2:
            return True
        claimed = no <= votes // 2
    return False


def asked_again(game: Game, targets: Targets, verdict: Verdict) -> Iterator[str]:
    """Look the claimed examples up at the target itself, as the 8-bit images that they are. The target is asked about those alone that it
    may be asked about: an error of it is then no fault of the entry's."""
    name = game.session.target
    if _misfit(game) or game.clean.shape != targets.material.levels.shape or game.clean.dtype != targets.material.levels.dtype:
        return  # `faults` says so, or the images are not the scenario's
    oracle = targets.oracle(name, 0)
    if oracle.randomised:
        verdict.notes.append(f"{name}: its answers are random, so that examples were not looked at again; the journal's votes count.")
        return
    if targets.model_hash(name) != game.account.model:
        yield f"Expected the target {name} that the server signed, but the one at hand is another model, or another file."
        return
    clean, judge = targets.clean(name), targets.judge(name)
    unreached: Sequence[bool | None] = judge.clean(clean) or [None] * len(clean.label)
    now = list(zip(clean.label.tolist(), unreached, strict=True))
    if len(others := [a.image for a, own in zip(game.account.images, now, strict=True) if (a.clean, a.unreached) != own]) > odd(len(now)):
        yield f"Expected the target's answers to the clean images as signed, but of {len(others)}, {others[0]} first, it has others."
    rows = np.array([i for i, image in enumerate(game.session.images) if image.success], np.int64)
    if not len(rows):
        return
    levels = as_levels(game.result.x_adv[rows])
    inside = targets.material.inside(levels, rows)
    for i in rows[~inside]:
        yield f"Expected the example of image {game.session.images[i].image} inside the threat and the mask, but it is not."
    if not len(rows := rows[inside]):
        return
    levels = levels[inside]
    reply = targets.answers(name, levels)
    losses, reached = judge(Told.of(reply), rows)
    for at, i in enumerate(rows):
        verdict.checked += 1
        image, said = game.session.images[i].image, int(reply.label[at])
        if judge.goal is None and not (reached[at] or _nearly(reply, at, game.account.images[i])):
            yield f"Expected the example of image {image} to be adversarial again, but the target says {said}."
        elif judge.goal is not None and not (reached[at] or losses[at] >= -CLOSE):
            yield f"Expected the example of image {image} to reach the goal ({judge.goal}) again, but the target's answer does not."


def _nearly(reply: Any, at: int, image: Any) -> bool:
    """Is an answer so near to what the scenario wants that another batch may decide?"""
    label = int(reply.label[at])
    if reply.values is None or label < 0 or reply.classes is not None:
        return False
    p = np.asarray(reply.one(at).probabilities()[0])
    wanted = np.delete(p, image.label).max() if image.goal is None else p[image.goal]
    return bool(p[label] - wanted <= CLOSE)

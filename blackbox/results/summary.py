"""Summarises a result in a few lines, each rate with its denominator and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.plain_text import counted
from blackbox.protocol import Status
from blackbox.results import columns, ended, money, words
from blackbox.statistics import Detection, Rate, few, outcomes, restricted_mean

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult


def incomplete(result: AttackResult, name: str = "") -> str:
    """The sentence for a result with unknown images: how many, and why; empty where the outcome of all is known.

    name: of the attack, where several are told of.
    """
    unknown = int((~result.known).sum())
    if not unknown:
        return ""
    bill = result.config.get("sent") or {}
    which, refused = f"{name}: " if name else "", result.status.count(Status.REJECTED)
    told = [f"the target rejected {counted(refused, 'clean image', 'clean images')}"] if refused else []
    if unknown > refused:
        told.append(ended.told(result.config.get("stopped"), bill.get("charged", int(result.queries.sum()))))
    return f"INCOMPLETE: {which}{unknown} of {len(result)} images are unknown: {'; '.join(told)}"


def _uncharged(bill: Mapping[str, int]) -> list[tuple[int, str]]:
    """What is added to the queries charged to give those sent."""
    return [
        (-bill["cached"], "answered from the cache"),
        (bill["checks"], "checks" if bill["checks"] != 1 else "check"),
        (bill["failed"], "in calls that failed"),
        (bill["retried"] - bill.get("busy", 0), "sent again after a call failed"),
        (bill.get("busy", 0), "sent again after the service was busy"),
        (bill.get("filled", 0), "to fill batches up"),
        (bill["in_doubt"], "whose answer was lost"),
        (bill.get("before", 0), "uncharged in earlier runs"),
    ]


def received(result: AttackResult) -> int | None:
    """How many images the target received in all; None in a file of before."""
    bill = _bill(result)
    return None if bill is None else bill["charged"] + sum(n for n, _ in _uncharged(bill))


def _bill(result: AttackResult) -> dict[str, int] | None:
    """What was charged and sent; None in a file of before, and for some of the images of a run (`AttackResult.take`)."""
    bill: dict[str, int] | None = result.config.get("sent")
    return bill if bill is not None and bill["charged"] == int(result.queries.sum()) else None


def sent(result: AttackResult) -> str:
    """What was charged and what the target received, such as ``634 charged + 20 checks = 654 sent``."""
    charged, bill = int(result.queries.sum()), _bill(result)
    if bill is None:
        return f"{charged:,} charged"
    parts = "".join(f" {'+' if n > 0 else '−'} {abs(n):,} {what}" for n, what in _uncharged(bill) if n)
    text = f"{bill['charged']:,} charged{parts} = {'at least ' if bill.get('least') else ''}{received(result):,} sent"
    earlier = bill["earlier"] + bill["in_doubt"] + bill.get("before", 0)
    return f"{text}, {earlier:,} of them before the run was taken up again" if earlier else text


def summary(result: AttackResult) -> str:
    """The summary as text."""
    c, cut = result.config, incomplete(result)
    goal = [] if c.get("goal") else [words.kind(c)]
    budget = f"{'at most' if c.get('shared_budget') else 'budget'} {c['budget']:,}"
    lines = [f"{cut}."] if cut else []
    lines += [
        " · ".join([f"{c['attack']} on {c['target']}", f"sees {c['access']}", str(result.threat), *goal, budget, f"seed {c['seed']}"]),
        *_rates(result),
        *_held(result),
        *_queries(result),
    ]
    if (why := c.get("stopped")) and why["message"]:
        lines.append(f"ended by         {why['error']}: {why['message']}")
    lines += _beside(c)
    if result.success.any():
        lines.append(
            f"distance         median {float(result.distance[result.success].median()):.4g}, "
            f"largest {float(result.distance[result.success].max()):.4g} in {words.unit(result)}" + _share(result)
        )
    lines += columns.told(result)
    if c.get("probe"):
        lines.append(_coarse(c["probe"]))
    if c.get("mask") is not None:
        share = f", each by {100 * c['weights']:.3g} % of eps on average" if c.get("weights") is not None else ""
        lines.append(f"mask             {100 * c['mask']:.3g} % of the entries might change{share}, the others did not")
    if c.get("ranges") is not None:
        lines.append(f"ranges           every query kept each entry in a range of its own, {c['ranges']:.3g} wide on average")
    if c.get("eight_bit"):
        before = Rate.of(result.success_float, outcomes.perhaps_attacked(result), result.known | result.success_float)
        lines.append(
            "8-bit images     examples were rounded after the search (--eight-bit): success above is after rounding; before it "
            f"{before}, so rounding lost {result.status.count(Status.ROUNDED_AWAY)}"
            + (f"; {waiting} not asked about yet" if (waiting := int((result.success_float & ~result.known).sum())) else "")
        )
    if c.get("votes", 1) > 1:
        lines.append(f"votes            a success is the majority of {c['votes']} fresh answers, all charged")
    if c.get("detection"):
        lines.append(f"detection        {Detection(**c['detection'])}")
    if result.config.get("max_bad"):
        lines.append(_bad(result))
    if said := flagged(result):
        lines.append(f"flagged          {said}")
    lines += money.told(result)
    others = [
        s
        for s in Status
        if s not in (Status.SUCCESS, Status.BUDGET, Status.CLEAN_WRONG, Status.REACHED) and s in result.status and not (cut and s in _CUT)
    ]
    lines += _read(result)
    lines += [f"note             {result.status.count(s)} images: {s.value}" for s in others]
    if unseen := int((result.success & (result.verified < 0)).sum()):
        lines.append(f"warning          {unseen} examples could not be verified: {unverified(result)}")
    lines += _paid(c)
    kind = words.kind_of([result])
    lines += [f"{f'few {kind}s':<17}{few(n)}"] if few(n := int(result.attacked.sum())) else []
    return words.of_inputs("\n".join(lines), kind)


def _share(result: AttackResult) -> str:
    """Of a patch or a frame, the share of the image's pixels that differ."""
    if not result.config.get("area"):
        return ""
    height, width = result.x_adv.shape[-2:]
    return f": {100 * float(result.distance[result.success].median()) / (height * width):.3g} % of the pixels"


_CUT = (Status.ERROR, Status.REJECTED)  # told of at the top


def flagged(result: AttackResult) -> str:
    """How many queries were rejected or flagged, in all and an image; empty where none was."""
    each = result.flagged[result.flagged >= 0]
    if not (total := int(each.sum())):
        return ""
    return (
        f"{total:,} of {int(result.queries.sum()):,} charged queries were rejected or flagged by the target, "
        f"{float(each.float().mean()):.1f} an image; none of {counted(int((each == 0).sum()), 'image', 'images')}"
    )


def _bad(result: AttackResult) -> str:
    """How many queries were not adversarial, where their number is limited."""
    each = result.bad[result.attacked & (result.bad >= 0)]
    most = f", at most {limit:,} allowed" if (limit := result.config.get("max_bad")) else ""
    return f"bad queries      mean {float(each.float().mean()):.1f}, median {float(each.float().median()):g} an attacked image{most}"


def unverified(result: AttackResult) -> str:
    """Why examples may not have been verified."""
    refused = "the target rejected the query, or it " if (result.flagged > 0).any() else "the target "
    return f"{refused}failed, or the run was stopped, before"


def _paid(c: Mapping[str, Any]) -> list[str]:
    """What was paid before, answered from a cache, asked in vain, or sent again."""
    lines = []
    if c.get("carried"):
        lines.append(
            f"resumed          {c['carried']:,} of these queries were paid before the run was taken up again"
            + ("; it could not be checked that the target is the same" if c.get("check_rows") == 0 else "")
        )
    if (kept := c.get("journal")) and (kept["cached"] or kept["in_doubt"]):
        lines.append(
            f"journal          {kept['cached']:,} of these queries were answered from the cache, unpaid; "
            f"{kept['in_doubt']:,} more were asked of the target in runs that ended before the answer came"
        )
    busy: Mapping[str, Any] = c.get("busy") or {"rows": 0, "rate": None}
    if again := (c.get("retried_rows") or 0) - busy["rows"]:
        lines.append(f"retried          {counted(again, 'image was', 'images were')} sent again after a call failed, and charged once")
    if busy["rows"]:
        slower = f'; to ask no faster than it answers: rate = "{busy["rate"]:.2g}/s"' if busy["rate"] else ""
        lines.append(
            f"busy             the service said so {counted(busy['rows'], 'time', 'times')} (429 or 503): waited, and not charged"
            f"{slower}"
        )
    return lines


def _coarse(probe: float) -> str:
    """What a target does not see of its input."""
    if abs(255 * probe - 1) > 1e-6:
        return f"coarse input     the target sees no change below {probe:.3g}"
    return (
        "8-bit input      the target sees no change below 1/255: each query is rounded before it (its own input, or the channel "
        "eight-bit)"
    )


def _held(result: AttackResult) -> list[str]:
    """Beside the success that was found, what held when the target was asked again, where the two differ."""
    if not (again := int((result.verified == 0).sum())):
        return []
    return [
        f"that held        {result.verified_rate}  of {words.denominator(result.config)}: adversarial again in a verification query "
        "(not charged)",
        f"warning          {again} examples were not adversarial in their verification query: the target's answers depend on the "
        f"batch or on chance, and the success above counts lucky answers. To count only what a majority confirms, {remedy(result)}",
    ]


def remedy(result: AttackResult) -> str:
    """What to do where examples did not hold when they were verified."""
    if (votes := result.config.get("votes", 1)) > 1:
        return f"ask for more votes than {votes} (--votes {2 * votes + 1})"
    return "declare the chance: Oracle(…, randomised=True), or --votes 5"


def _rates(result: AttackResult) -> list[str]:
    """The three rates, each with its denominator; with another goal than a class they are of other things."""
    c, rate = result.config, result.success_rate
    among = words.denominator(c, "" if rate.unknown else f"{rate.n:,}")
    return words.rates(result, f"{rate}  of {among}{words.meaning(c)}", result.robust_accuracy)


def _queries(result: AttackResult) -> list[str]:
    budget, spent = result.config["budget"], int(result.queries.sum())
    total = f"{spent:,} spent in all" if _bill(result) is None else f"in all {sent(result)}"
    if whole := result.config.get("shared_budget"):
        some = result.queries[result.attacked].numpy()
        an_image = f"; an attacked image cost a median of {np.median(some):g} and {some.max():,} at most" if len(some) else ""
        return [
            f"queries          {total}{an_image}",
            f"shared budget    {whole['total']:,} for all images, {whole['an_image']:,} an image on average, at most {budget:,} for one: "
            "what falls depends on the seed and on the set of images",
        ]
    if math.isnan(result.mean_queries):
        return [f"queries          {total}"]
    which, more, mean = "an attacked image", "", restricted_mean(result)
    interval = f" [{mean.low:.1f}, {mean.high:.1f}]"
    finished = outcomes.complete(result)
    if not finished[outcomes.array(result.attacked)].all():  # those that are finished first cost less than the others
        done, cut = outcomes.costs(result, budget)[finished], outcomes.array(result.attacked) & ~finished
        spent_there, count = outcomes.array(result.queries)[cut], len(done) + int(cut.sum())
        low, high = (done.sum() + spent_there.sum()) / count, (done.sum() + budget * len(spent_there)) / count
        which, more = f"of the {len(done)} attacked images that were finished", f"; mean of all {count} between {low:.1f} and {high:.1f}"
        interval = ""
    return [
        f"queries          mean {result.mean_queries:.1f}{interval}, median {result.median_queries:g} {which} "
        f"(failures charged at {budget:,}){more}; {total}"
    ]


def _beside(c: dict[str, Any]) -> list[str]:
    """What a prior cost beside the queries, and which part of an attack spent them."""
    lines = []
    if prior := c.get("prior"):
        lines.append(
            f"prior            {prior['gradients']:,} gradients and {prior['passes']:,} passes of {prior['members']} "
            f"member(s) beside the queries, {prior['gradients_per_image']:.0f} gradients an image"
            + (f"; an image's gradient was zero {zeros:,} times" if (zeros := prior.get("zero_gradients")) else "")
        )
    if parts := c.get("parts"):
        told = (f"{name} {p['queries']:,} for {p['successes']}" for name, p in parts.items() if p["queries"])
        lines.append(f"parts            queries and successes: {', '.join(told) or 'none'}")
    return lines


def _read(result: AttackResult) -> list[str]:
    """How answers were read; and that a clean accuracy is no better than guessing, for which the set-up is the likelier cause."""
    reading, classes, clean = result.config.get("reading"), result.config.get("classes"), result.clean_accuracy
    lines = [f"answers read as: {reading}"] if reading else []
    if classes and not words.goal_of(result.config) and clean.n and clean.low <= 1 / classes and clean.high <= (1 + 1 / classes) / 2:
        lines.append(
            f"note             the clean accuracy is no better than guessing one of {classes} classes. Are the labels in the target's "
            "order (--class-names), the images in its layout and size, and normalised as it expects?"
        )
    return lines

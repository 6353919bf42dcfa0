"""Summarises a result in a few lines, each rate with its denominator and interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.protocol import Status
from blackbox.statistics import Detection, Rate

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult


def summary(result: AttackResult) -> str:
    """The summary as text."""
    c, attacked = result.config, int(result.attacked.sum())
    goal = "targeted" if c["targeted"] else "untargeted"
    lines = [
        f"{c['attack']} on {c['target']} · sees {c['access']} · {result.threat} · {goal} · "
        f"budget {c['budget']:,} · seed {c['seed']}",
        f"clean accuracy   {result.clean_accuracy}  of all images",
        f"attack success   {result.success_rate}  of images the target had right",
        f"robust accuracy  {result.robust_accuracy}  of all images: right and not fooled",
    ]
    if attacked:
        lines.append(
            f"queries          mean {result.mean_queries:.1f}, median {result.median_queries:g} an attacked image "
            f"(failures charged at {c['budget']:,}); {int(result.queries.sum()):,} spent in all"
        )
    if prior := c.get("prior"):
        lines.append(
            f"prior            {prior['gradients']:,} gradients and {prior['passes']:,} passes of {prior['members']} "
            f"member(s) beside the queries, {prior['gradients_per_image']:.0f} gradients an image"
        )
    if parts := c.get("parts"):
        told = (f"{name} {p['queries']:,} for {p['successes']}" for name, p in parts.items() if p["queries"])
        lines.append(f"parts            queries and successes: {', '.join(told) or 'none'}")
    if result.success.any():
        lines.append(
            f"distance         median {float(result.distance[result.success].median()):.4g}, "
            f"largest {float(result.distance[result.success].max()):.4g} in {result.threat.norm}"
        )
    if c.get("eight_bit"):
        lost = int((result.success_float & ~result.success).sum())
        lines.append(
            f"8-bit images     success above is after rounding; before it {Rate.of(result.success_float, result.attacked)}, "
            f"so rounding lost {lost}"
        )
    if c.get("votes", 1) > 1:
        lines.append(f"votes            a success is the majority of {c['votes']} fresh answers, all charged")
    if c.get("detection"):
        lines.append(f"detection        {Detection(**c['detection'])}")
    others = [
        s for s in Status if s not in (Status.SUCCESS, Status.BUDGET, Status.CLEAN_WRONG) and s in result.status
    ]
    lines += [f"note             {result.status.count(s)} images: {s.value}" for s in others]
    if (again := int((result.verified == 0).sum())) > 0:
        lines.append(
            f"warning          {again} examples were not adversarial in their verification query (not charged): the target's "
            "answers depend on the batch or on chance"
        )
    if c.get("carried"):
        lines.append(
            f"resumed          {c['carried']:,} of these queries were paid before the run was taken up again"
        )
    if (kept := c.get("journal")) and (kept["cached"] or kept["in_doubt"]):
        lines.append(
            f"journal          {kept['cached']:,} of these queries were answered from the cache, unpaid; "
            f"{kept['in_doubt']:,} more were asked of the target in runs that ended before the answer came"
        )
    if c.get("retried_rows"):
        lines.append(f"retried          {c['retried_rows']:,} images were sent again after a call failed, and charged once")
    return "\n".join(lines)

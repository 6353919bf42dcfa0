"""The query accounts of every attack: what was charged, what was not, and how each image ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blackbox.protocol import Status
from blackbox.report.sections.common import Item, count, number
from blackbox.results import flagged, money, received, remedy, unverified
from blackbox.statistics import Detection
from blackbox.tariff import short

if TYPE_CHECKING:
    from blackbox.report.pages import Page


def add(page: Page, chosen: Sequence[Item]) -> None:
    """Two tables; columns in which nothing happened are named below instead."""
    if not chosen:
        return
    page.head("Accounts", 3)
    columns = [
        ("Queries charged", lambda c, r: f"{int(r.queries.sum()):,}"),
        ("sent to the target", lambda c, r: f"{n:,}" if (n := received(r)) is not None else "–"),
        ("money", lambda c, r: short(r.bill.total) if "tariff" in c else "–"),
        ("most an image", lambda c, r: f"{int(r.queries.max()):,}" if len(r) else "–"),
        ("verification queries (not charged)", lambda c, r: count(c.get("verify_rows"))),
        ("of these no longer adversarial", lambda c, r: count(int((r.verified == 0).sum()))),
        ("failed rows", lambda c, r: count(c.get("failed_rows"))),
        ("sent again", lambda c, r: count(c.get("retried_rows"))),
        ("paid before a restart", lambda c, r: count(c.get("carried"))),
        ("from the cache, unpaid", lambda c, r: count((c.get("journal") or {}).get("cached"))),
        ("asked, answer lost", lambda c, r: count((c.get("journal") or {}).get("in_doubt"))),
        ("gradients of a prior", lambda c, r: count((c.get("prior") or {}).get("gradients"))),
        ("seconds", lambda c, r: number(c.get("seconds"), ",.1f")),
        ("of these the target's", lambda c, r: number(c.get("target_seconds"), ",.1f")),
    ]
    made = {name: [say(i.result.config, i.result) for i in chosen] for name, say in columns}
    shown = [name for name, cells in made.items() if set(cells) - {"0", "–"}]
    nothing = [name for name, cells in made.items() if name not in shown and set(cells) == {"0"}]
    caption = f"Not shown, because none of the results has any: {', '.join(nothing)}." if nothing else ""
    rows = [[i.label, *(made[name][k] for name in shown)] for k, i in enumerate(chosen)]
    page.table(["Result", *shown], rows, caption)
    ends = [s for s in Status if any(s in i.result.status for i in chosen)]
    table = [[i.label, str(len(i.result)), *(count(i.result.status.count(s)) for s in ends)] for i in chosen]
    said = "; ".join(f"{name(s)}: {s.value}" for s in ends)
    page.table(["Result", "Images", *(name(s) for s in ends)], table, f"How each image ended. {said}.")
    for i in chosen:
        if found := i.result.config.get("detection"):
            page.text(f"{i.label}: {Detection(**found)}.")
        if said := flagged(i.result):
            page.text(f"{i.label}: {said}.")
        for line in money.told(i.result):
            page.text(f"{i.label}: {line.partition(' ')[2].strip()}.")
    _warnings(page, chosen)


def _warnings(page: Page, chosen: Sequence[Item]) -> None:
    lines = []
    for i in chosen:
        if cut := i.result.status.count(Status.ERROR):
            lines.append(f"{i.label}: {cut} images were cut short; they are in no mean, and in no rate but as unknown.")
        if lost := int((i.result.verified == 0).sum()):
            lines.append(
                f"{i.label}: {lost} examples were not adversarial when verified; the target's answers depend on the batch or on "
                f"chance. Success that held: {i.result.verified_rate}. To count only what a majority confirms, {remedy(i.result)}."
            )
        if unseen := int((i.result.success & (i.result.verified < 0)).sum()):
            lines.append(f"{i.label}: {unseen} examples could not be verified; {unverified(i.result)}.")
        if refused := i.result.status.count(Status.REJECTED):
            lines.append(f"{i.label}: the target rejected {refused} clean images; they are in no mean, and in no rate but as unknown.")
    if lines:
        page.note(lines)


def name(status: Status) -> str:
    """``clean wrong``."""
    return status.name.lower().replace("_", " ")

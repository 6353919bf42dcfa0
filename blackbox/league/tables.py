"""The tables of the league's pages: rows of text, with the intervals of `blackbox.league.standing`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from blackbox.league import draws
from blackbox.league.entry import SCENARIO, Entry, Image
from blackbox.league.source import ours
from blackbox.league.standing import Difference, Standing, difference, overfitting, virtual_best
from blackbox.report.sections.common import between
from blackbox.statistics import BUDGETS, Estimate, corrected
from blackbox.tariff import short

LONG = 80  # characters of settings that a table has room for
SHOWN = 3  # budgets in a table, the whole one the last
CURVE = "Of the images {}; seeds and targets of an image are averaged first. Failures stay in the denominator."
NO, FIXED = "–", "\u00a0"  # a space at which no line ends
GAP = "public − sealed (overfitting)"
UNSPENT = {"flagged": "flagged", "labels bought": "learned from bought labels"}  # what is worth saying where there is none
Made = tuple[list[str], list[list[str]], str]


def percent(e: Estimate) -> str:
    """``15 % [5, 36]``."""
    return f"{100 * e.value:.0f}{FIXED}%{FIXED}[{100 * e.low:.0f},{FIXED}{100 * e.high:.0f}]" if e.n else NO


def points(e: Estimate) -> str:
    """A difference of shares in points: ``+5 [-1, +11]``."""
    value, low, high = (f"{round(100 * each):+d}" if e.n else NO for each in (e.value, e.low, e.high))
    return f"{value}{FIXED}[{low},{FIXED}{high}]" if e.n else NO


def number(e: Estimate) -> str:
    """``120 [99, 151]``."""
    return between(e).replace(" ", FIXED)


def budgets(most: int) -> list[int]:
    """The numbers of queries at which success is shown."""
    return [*[b for b in BUDGETS if b < most][-SHOWN + 1 :], most]


def overall(found: Sequence[Standing]) -> Made:
    """Floors, attacks and the virtual best of a scenario. Of what the entries spent, columns that are 0 for all are left out."""
    first = found[0]
    at, sealed = budgets(first.budget), any(s.sealed for s in first.sessions)
    spent = _spent(found)
    head = ["Attack", *(f"fooled within {b:,}" for b in at), "at any time", f"queries, failures at {first.budget:,}",
            *[GAP] * sealed, *spent]  # fmt: skip
    blank = [NO] * len(spent)
    unchanged = "clean error" if first.scenario.goal is None else "at the goal already"
    rows = [[f"no attack: {unchanged}", *[percent(first.clean_error())] * len(at), NO, NO, *[NO] * sealed, *blank]]
    for i, s in enumerate(found):
        rows.append(
            [f"{s.name} (floor)" if s.entry.floor else s.name, *(percent(s.success(b)) for b in at), percent(s.anytime()),
             number(s.queries()), *[points(overfitting(s))] * sealed, *(column[i] for column in spent.values())]
        )  # fmt: skip
    best = virtual_best(found)
    rows.append(["virtual best", *[NO] * (len(at) - 1), percent(best.success), NO, number(best.queries), *[NO] * sealed, *blank])
    lacking = [word for name, word in UNSPENT.items() if name not in spent]
    absent = f" Nothing was {' and nothing '.join(lacking)}." if lacking else ""
    images = f"{first.attacked_images:,} of {len(first.images):,} images {first.which}"
    played = f"Goal: {first.goal}. {first.scenario.threat}, {images}, {first.played}; 95 % intervals."
    return head, rows, f"{played}{absent} Notes on how to read it follow below."


def _spent(found: Sequence[Standing]) -> dict[str, list[str]]:
    """Columns of what the entries spent, by their heads; without those that are 0 for all."""
    columns: dict[str, tuple[list[float], Callable[[float], str]]] = {
        "flagged": ([s.mean(s.flagged) for s in found], "{:,.1f}".format),
        "locked out": ([100 * s.mean(s.locked_out) for s in found], f"{{:.0f}}{FIXED}%".format),
        "money (spent)": ([s.bill().total / max(int(s.attacked.sum()), 1) if s.scenario.tariff else 0.0 for s in found], short),
        "gradients": ([s.mean(s.column("gradients")) for s in found], "{:,.0f}".format),
        "labels bought": ([s.entry.labels for s in found], "{:,.0f}".format),
        "seconds": ([s.mean(s.column("seconds")) for s in found], "{:.2g}".format),
    }
    return {name: [*map(form, values)] for name, (values, form) in columns.items() if any(values)}


def reading(found: Sequence[Standing]) -> list[str]:
    """How to read the table of a scenario, in paragraphs."""
    sealed, prices = any(s.sealed for s in found[0].sessions), bool(found[0].scenario.tariff)
    quickest = ", ".join(f"{name} {100 * e.value:.0f}{FIXED}%" for name, e in virtual_best(found).quickest.items() if e.n)
    lines = [
        f"Fooled: of the images {found[0].which}, within so many queries; no attack: of all images. Intervals are over images: "
        "the targets and seeds of an image are averaged first.",
        "At any time: the same share as in the column before it, with a wider interval. That one may be read after any number of images, "
        "taken in an order drawn from the scenario's hash, so that it holds as well for an entrant who stopped because it looked good.",
        "Flagged queries, gradients, seconds and money are means over attacked images, of what was spent: an attack that gave up "
        "early spent less, while its queries count as the whole budget. Gradients and labels are as the entrant "
        f"declares{'' if prices else '; the scenario has no prices'}.",
        f"Virtual best: the quickest attack for each image, chosen in hindsight; quickest were {quickest or 'none'}.",
    ]
    if sealed:
        lines.append(
            "Public − sealed (overfitting): success on public targets less that on sealed ones, in points. Sealed targets may be harder or "
            "easier by themselves: compare with the floors. An attack that is weak everywhere has less to lose."
        )
    if names := [s.name for s in found if draws.others(s, found)]:
        lines.append(
            f"The player{'s' * (len(names) > 1)} of {', '.join(names)} had opened earlier sessions on the same targets, with other attacks "
            "of this table."
        )
    return lines


CHANCE = 0.05


def headline(found: Sequence[Standing]) -> str:
    """The attack with the fewest queries, beside the next one and the floors; empty where there are floors alone."""
    attacks, floors = [s for s in found if not s.entry.floor], [s for s in found if s.entry.floor]
    if not attacks:
        return ""
    best, *others = attacks
    text = (
        f"{best.scenario.name}: {best.name} needs the fewest queries, {number(best.queries())} an image with failures at {best.budget:,}, "
        f"and fools {percent(best.success(best.budget))}."
    )
    if others:
        d = difference(best, others[0])
        chance = "" if d.p < CHANCE else ", which chance may explain"
        crafted = [f"{s.mean(s.column('gradients')):,.0f}" for s in (best, others[0])]
        beside = f", with {crafted[0]} gradients an image beside {crafted[1]}" if crafted[0] != crafted[1] else ""
        text += (
            f" It saves {number(d.saved)} queries an image against {others[0].name}{beside}{chance}; the two were picked after the results "
            "were seen, and that interval is not adjusted for it."
        )
    if (gap := overfitting(best)).n:
        beside = ", ".join(f"{s.name} {points(overfitting(s))}" for s in floors)
        text += f" {GAP[0].upper()}{GAP[1:]}: {points(gap)} points{f', beside {beside} of the floors' if beside else ''}."
    return text


def compared(found: Sequence[Standing]) -> list[tuple[Standing, Standing, Difference]]:
    """Each attack against each floor, p corrected for all of them (Holm)."""
    floors = [s for s in found if s.entry.floor]
    pairs = [(one, floor) for one in found if not one.entry.floor for floor in floors]
    return [(*pair, d) for pair, d in zip(pairs, corrected([difference(*pair) for pair in pairs]), strict=True)]


def differences(found: Sequence[Standing]) -> Made | None:
    """Each attack against each floor; None where there is nothing to compare."""
    pairs = compared(found)
    if not pairs:
        return None
    rows = [[a.name, b.name, number(d.saved), points(d.gained), f"{d.p:.3g}"] for a, b, d in pairs]
    tests = pairs[0][2].tests
    told = (
        "Against the floors, image by image: queries saved (failures at the budget) and success gained, in points; above zero the attack "
        "is better. p: of the sign-flip test that no queries are saved"
        f"{f', corrected for the {tests} tests of this table (Holm 1979). Only p is: each interval is for itself alone' * (tests > 1)}."
    )
    return ["Attack", "Floor", "queries saved", "success gained", "p"], rows, told


def by_target(found: Sequence[Standing]) -> Made:
    """Success and queries on each target."""
    targets = list(dict.fromkeys((s.target, s.sealed) for s in found[0].sessions))
    head = ["Attack", *(f"{name}{' (sealed)' if sealed else ''}" for name, sealed in targets)]

    def cell(one: Standing, target: str) -> str:
        part = one.on(lambda s: s.target == target)
        return f"{percent(part.success(one.budget))}, {part.queries().value:,.0f} queries"

    rows = [[s.name, *(cell(s, name) for name, _ in targets)] for s in found]
    return head, rows, "Fooled within the budget, and mean queries with failures at it."


def sessions(one: Standing) -> Made:
    """Every session of an attack."""
    head = ["Target", "Seed", "Images attacked", "Fooled", "Queries", "Flagged", "Bad", "Earlier sessions", "Ended early by"]
    rows = []
    for s in one.sessions:
        part = one.on(lambda other, s=s: other is s)  # type: ignore[misc]
        rows.append(
            [f"{s.target}{' (sealed)' if s.sealed else ''}", str(s.seed), f"{int(part.attacked.sum())} of {len(s.images)}",
             percent(part.success(one.budget)), number(part.queries()), f"{part.flagged.sum():,.0f}", f"{part.column('bad').sum():,.0f}",
             f"{s.earlier:,}", s.stopped or NO]
        )  # fmt: skip
    told = "One session a target and seed. Earlier sessions: those that the player had opened on it before, with other attacks or settings."
    return head, rows, told


def facts(one: Standing) -> list[list[str]]:
    """The goal in words and all fields of a scenario; the four axes of what the attacker has first."""
    values = one.scenario.model_dump()
    attacker = values.pop("attacker")
    axes = ("access", "feedback", "quality", "quantity")
    rows = [*([f"attacker: {name}", str(attacker[name])] for name in axes), ["goal, in words", one.goal]]
    for name, value in values.items():
        if name in ("name", "version", "about") or value in (None, "", [], {}):
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows += [[f"{name}: {each['name']}", _words({k: v for k, v in each.items() if k != "name"})] for each in value]
        else:
            rows.append([name, _words(value)])
    return [*rows, ["hash of the file", one.entry.scenario_hash]]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        said = {name.replace("_", " "): each for name, each in value.items() if each is not False and each not in (None, "", [], {})}
        found = [f"{name}: {_words(each)}" for name, each in said.items()]
        return "; ".join(found) or NO
    if isinstance(value, list):
        return ", ".join(_words(each) for each in value) or NO
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NO if value is None or value == "" else str(value)


def declared(one: Standing, checked: int) -> list[list[str]]:
    """What an entry says of itself, and what was looked at again."""
    e = one.entry
    versions = e.environment.get("versions", {})
    return [
        *[["settings", e.parameters]] * (len(e.parameters) <= LONG),
        ["player", e.player], ["hash of the source, given before a target was opened", e.source],
        ["surrogates", ", ".join(e.surrogates) or "none"], ["labels bought, as declared", f"{e.labels:,}"],
        ["training, as declared", e.training or "none"],
        ["money (spent)", str(one.bill()) if one.scenario.tariff else "the scenario has no prices"],
        [f"{GAP}, points", points(overfitting(one))], ["examples looked at again", f"{checked:,}" if checked else "none"],
        ["versions", ", ".join(f"{name} {value}" for name, value in versions.items()) or NO],
    ]  # fmt: skip


PLACES = "ADDRESS is the server's, PLAYER your name there, FOLDER a new one{}."


def run_command(entry: Entry, folder: str, data: str | None) -> str:
    """The command that plays an entry again: as another player, since a player has one session a target and seed."""
    name = entry.attack.partition(" ")[0]
    attack = name if ours(name) else f"FILE.py:{name}"
    words = ["blackbox", "league", "run", attack, "--scenario", f"{folder}/{SCENARIO}", "--server", "ADDRESS", "--player", "PLAYER"]
    words += [word for each in entry.settings for word in ("--set", each)] + [w for each in entry.surrogates for w in ("--surrogate", each)]
    words += [] if not entry.labels else ["--labels", str(entry.labels)]
    words += [] if not entry.training else ["--training", entry.training]
    return shlex.join([*words, *([] if data is None else ["--data", data]), "--out", "FOLDER"])


def verify_command(folders: Sequence[str], options: Sequence[str]) -> str:
    """The command that checks them."""
    return shlex.join(["blackbox", "league", "verify", *folders, *options])


def data(one: Standing) -> dict[str, Any]:
    """An entry for table.json: its sessions image by image, as columns, and what the table shows of it."""
    names = [name for name in Image.model_fields if name != "distance"]
    shown = {
        "success": {b: _ends(one.success(b)) for b in budgets(one.budget)}, "at any time": _ends(one.anytime()),
        "queries": _ends(one.queries()), "overfitting": _ends(overfitting(one)), "money": one.bill().money,
        "clean error": _ends(one.clean_error()),
    }  # fmt: skip
    about = one.entry.model_dump(exclude={"sessions", "environment", "format"})
    columns = [
        {"target": s.target, "sealed": s.sealed, "seed": s.seed, "budget": s.budget, "earlier": s.earlier, "stopped": s.stopped,
         **{name: [getattr(image, name) for image in s.images] for name in names}}
        for s in one.sessions
    ]  # fmt: skip
    return {**about, "shown": shown, "sessions": columns}


def _ends(e: Estimate) -> list[float] | None:
    """Value, low and high; None where nothing is known."""
    return [e.value, e.low, e.high] if e.n else None

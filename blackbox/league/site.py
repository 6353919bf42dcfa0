"""``blackbox league table``: a static site on verified entries: a page of tables, one a scenario, one an attack, and table.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.league import draws, pictures, tables
from blackbox.league.entry import Entry
from blackbox.league.floors import FLOORS
from blackbox.league.standing import Standing, comparable
from blackbox.plain_text import counted
from blackbox.report.pages import Page
from blackbox.report.sections.common import safe
from blackbox.statistics import few

if TYPE_CHECKING:
    from blackbox.league.scenario import Scenario

INDEX, DATA = "index", "table.json"


@dataclass(frozen=True)
class Played:
    """A verified entry. checked: examples that their targets were asked about again; notes: of the verification; folder: where it is."""

    entry: Entry
    scenario: Scenario
    checked: int = 0
    notes: Sequence[str] = ()
    folder: str = "ENTRY"


@dataclass
class Site:
    """What the site is on. refused: entries that are not in it, with the reasons. key: id of the host's key. command: that makes the
    site. options: of it, those that verify takes as well. data: where the scenarios' paths start."""

    played: Sequence[Played]
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    key: str = ""
    command: str = ""
    options: Sequence[str] = ()
    data: str | None = None

    def scenarios(self) -> dict[str, list[Played]]:
        """The entries of each scenario, by the hash of its file: another version is another scenario."""
        out: dict[str, list[Played]] = {}
        for each in self.played:
            out.setdefault(each.entry.scenario_hash, []).append(each)
        return dict(sorted(out.items(), key=lambda item: item[1][0].scenario.name))

    def write(self, folder: Path) -> list[Path]:
        """Write the site; returns its pages.

        Raises:
            ValueError: no entries, entries of a scenario on different sessions, or two of one name.
        """
        names = names_of({(p.entry.attack, p.entry.player) for p in self.played})
        groups = {digest: _standings(some, names) for digest, some in self.scenarios().items()}
        if not groups:
            raise ValueError("Expected at least one verified entry for a table, but there was none.")
        for inner in ("scenarios", "attacks"):
            (folder / inner).mkdir(parents=True, exist_ok=True)
        pages = [folder / f"{INDEX}.html"]
        for digest, found in groups.items():
            name = _page_of(found[0].scenario, digest, groups)
            picture = pictures.curves(found, folder / "scenarios" / f"{name}.svg")
            self._scenario(found, picture).write(folder / "scenarios", name)
            pages.append(folder / "scenarios" / f"{name}.html")
        self._index(groups, folder).write(folder, INDEX)  # with the pictures of the scenarios
        for attack in sorted({s.name for found in groups.values() for s in found}):
            page = self._attack(attack, groups)
            page.write(folder / "attacks", safe(attack))
            pages.append(folder / "attacks" / f"{safe(attack)}.html")
        (folder / DATA).write_text(json.dumps(self._data(groups), separators=(",", ":")) + "\n", encoding="utf-8")
        return pages

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _index(self, groups: Mapping[str, list[Standing]], folder: Path) -> Page:
        page = Page("League of black-box attacks", nav=True, foot=_foot())
        entries, signed = counted(len(self.played), "entry", "entries"), f" with the key {self.key}" if self.key else ""
        page.lead = (
            f"{entries} in {counted(len(groups), 'scenario', 'scenarios')}. The targets' side counted, flagged and signed{signed}; every "
            "entry was verified before it came in here."
        )
        page.first = self._first(groups)
        page.headline = [said for found in groups.values() if (said := tables.headline(found))]
        for digest, found in groups.items():
            scenario = found[0].scenario
            name = _page_of(scenario, digest, groups)
            page.head(f"{scenario.name} {scenario.version}")
            page.text(f"{scenario.about or 'No description.'} Goal: {found[0].goal}.")
            page.links([("The scenario", f"scenarios/{name}"), *((s.name, f"attacks/{safe(s.name)}") for s in found)])
            _results(page, found, folder / "scenarios" / f"{name}.svg", "scenarios")
        if self.refused:
            page.head("Refused")
            page.text("Not in any table, with the reasons of the verification.")
            page.table(["Entry", "Why"], [[name, " ".join(why)] for name, why in self.refused.items()], left=2)
        page.head("Where this comes from")
        page.text(f"{DATA} has every image of every session, from which all of this follows.")
        page.pre("\n".join(filter(None, [self.command, self._verify(p.entry for p in self.played)])))
        return page

    def _first(self, groups: Mapping[str, list[Standing]]) -> list[str]:
        """What a reader must know before any number."""
        lines = []
        for found in groups.values():
            name = found[0].scenario.name
            if said := few(found[0].attacked_images):
                lines.append(f"{name}: {said}.")
            have = {s.name.partition(" ")[0] for s in found if s.entry.floor}
            if lacking := [floor for floor in FLOORS if floor not in have]:
                lines.append(f"{name}: without the floor {' and '.join(lacking)}; play it: blackbox league run {lacking[0]}.")
            for s in found:
                if again := draws.again(s, found):
                    many = counted(again, "earlier session", "earlier sessions")
                    told = "of the same attack or of one that is not in this table. Each is another draw"
                    lines.append(f"{name}: the player of {s.name} had opened {many} on a target of it, {told}.")
        return lines

    def _scenario(self, found: list[Standing], picture: Path) -> Page:
        scenario = found[0].scenario
        page = Page(f"Scenario {scenario.name} {scenario.version}", lead=scenario.about, nav=True, foot=_foot())
        page.first = [f"{said}."] if (said := few(found[0].attacked_images)) else []
        page.links([("All scenarios", f"../{INDEX}"), *((s.name, f"../attacks/{safe(s.name)}") for s in found)])
        page.head("Facts")
        page.table(["Field", "Value"], tables.facts(found[0]), left=2)
        page.head("Table")
        _results(page, found, picture)
        page.head("Target by target")
        page.table(*tables.by_target(found))
        page.head("Commands")
        self._commands(page, [s.entry for s in found])
        return page

    def _attack(self, attack: str, groups: Mapping[str, list[Standing]]) -> Page:
        page = Page(f"Attack {attack}", nav=True, foot=_foot())
        page.links([("All attacks", f"../{INDEX}")])
        for digest, found in groups.items():
            for one in (s for s in found if s.name == attack):
                played = self._played(one.entry)
                page.head(f"{one.scenario.name} {one.scenario.version}")
                page.links([(f"Scenario {one.scenario.name}", f"../scenarios/{_page_of(one.scenario, digest, groups)}")])
                page.table(["Field", "Value"], tables.declared(one, played.checked), left=2)
                if len(one.entry.parameters) > tables.LONG:
                    page.pre(one.entry.parameters, "Settings")
                page.table(*tables.sessions(one), left=2)
                if played.notes:
                    page.note(played.notes)
                self._commands(page, [one.entry])
        return page

    def _commands(self, page: Page, entries: Sequence[Entry]) -> None:
        """Those that play entries and check them."""
        lines = [*(tables.run_command(entry, self._played(entry).folder, self.data) for entry in entries), self._verify(entries)]
        page.text(tables.PLACES.format(", FILE.py the entrant's source" if any("FILE.py" in line for line in lines) else ""))
        page.pre("\n".join(lines))

    def _played(self, entry: Entry) -> Played:
        return next(p for p in self.played if p.entry is entry)

    def _verify(self, entries: Iterable[Entry]) -> str:
        return tables.verify_command([self._played(entry).folder for entry in entries], self.options)

    def _data(self, groups: Mapping[str, list[Standing]]) -> dict[str, Any]:
        """All that the tables are made of: the sessions image by image, as columns."""
        return {
            "format": "blackbox-league-table-1", "key": self.key, "command": self.command,
            "refused": {name: list(why) for name, why in self.refused.items()},
            "scenarios": [
                {"hash": digest, **json.loads(found[0].scenario.model_dump_json()), "entries": [tables.data(s) for s in found]}
                for digest, found in groups.items()
            ],
        }  # fmt: skip


def _results(page: Page, found: list[Standing], picture: Path, inside: str = "") -> None:
    """The curves and the table of a scenario, each attack against each floor, and how to read them."""
    page.picture("Success against queries", picture, tables.CURVE.format(found[0].which), inside)
    page.table(*tables.overall(found))
    if (made := tables.differences(found)) is not None:
        page.table(*made, left=2)
    for line in tables.reading(found):
        page.text(line)


def names_of(entered: Set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Names in the tables of attacks by their players: an attack's own, with the player's where several entered one; with a number where
    it would be the page of another."""
    out, taken = dict[tuple[str, str], str](), set[str]()
    for attack, player in sorted(entered):
        own = f"{attack} ({player})" if sum(other == attack for other, _ in entered) > 1 else attack
        name = next(n for n in itertools.chain([own], (f"{own} {n}" for n in itertools.count(2))) if safe(n).lower() not in taken)
        taken.add(safe(name).lower())
        out[attack, player] = name
    return out


def _standings(played: Sequence[Played], called: Mapping[tuple[str, str], str]) -> list[Standing]:
    """Floors first, then the attacks by their mean queries.

    Raises:
        ValueError: two entries of one attack and player, or on different sessions.
    """
    found = [Standing.of(p.entry, p.scenario, called[p.entry.attack, p.entry.player]) for p in played]
    names = [s.name for s in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"Expected entries of different names in {found[0].scenario.name}, but {twice!r} is there twice. Leave one out.")
    if not comparable(found):
        raise ValueError(f"Expected entries of {found[0].scenario.name} on the same targets, seeds and images, but they differ.")
    return sorted(found, key=lambda s: (not s.entry.floor, s.queries().value, s.name))


def _page_of(scenario: Scenario, digest: str, groups: Mapping[str, list[Standing]]) -> str:
    """The name of a scenario's page; with its hash where another version is there too."""
    same = sum(found[0].scenario.name == scenario.name for found in groups.values())
    return safe(scenario.name) if same < 2 else f"{safe(scenario.name)}-{digest[:8]}"


def _foot() -> str:
    import blackbox

    return f"Made by blackbox {blackbox.__version__}, blackbox league table."

"""``--fail-under`` and ``--baseline``: an evaluation that passes or fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox.cli.exits import FAILED, GATE, Exit
from blackbox.cli.progress import say

if TYPE_CHECKING:
    from blackbox.evaluation import Evaluation
    from blackbox.evaluation.gate import Bar
    from blackbox.specs import ImageSet
    from blackbox.threat import Threat


@dataclass(frozen=True)
class Gate:
    """What an evaluation must reach; exit code 4 where it does not."""

    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under", help="Least robust accuracy of a row: labels@500=0.6, scores=40%, clean=0.9, noise, transfer, white-box."
        ),
    ] = None
    baseline: Annotated[
        str | None, typer.Option(help="Folder of an earlier evaluation: fail where more images fall than chance explains.")
    ] = None


@dataclass(frozen=True)
class Opened:
    """The bars and the baseline, read and checked before the first query."""

    bars: Sequence[Bar] = ()
    baseline: Evaluation | None = None

    def close(self, found: Evaluation, path: Path, quiet: bool, failure: str = "") -> None:
        """Check the evaluation, save and print the verdict. failure: what ended the run early.

        Raises:
            Exit: 4, a check failed; 1, images whose outcome is unknown decide.
        """
        if not self.bars and self.baseline is None:
            return
        from blackbox.evaluation import gate

        verdict = gate.check(found, self.bars, self.baseline)
        verdict = verdict.of_run(failure) if failure else verdict
        verdict.save(path)
        say(f"{verdict}\nsaved            {path}/: gate.json, junit.xml", quiet)
        named = ", ".join(c.name for c in verdict.checks if c.state == verdict.state)
        if verdict.state == "fail":
            raise Exit(GATE, f"The gate failed: {named}.")
        if verdict.state == "unknown":
            raise Exit(FAILED, f"The gate cannot tell, because the outcome of some images is unknown: {named}.")


def opened(
    given: Gate, threat: Threat, images: ImageSet, levels: Sequence[str], budgets: Sequence[int], rows: Sequence[str],
    goal: str = "",
) -> Opened:  # fmt: skip
    """Read bars and baseline, and refuse what could not be checked afterwards. rows: those without a budget that will be run. goal: in
    words, where it is not a wrong class.

    Raises:
        ValueError: a bar that cannot be read or has no row; a folder without an evaluation, or one of another threat or images.
    """
    from blackbox.evaluation import Evaluation, gate

    bars = [gate.read(text) for text in given.fail_under or []]
    gate.require(bars, levels, budgets, rows)
    if given.baseline is None:
        return Opened(bars)
    from blackbox.results.ledger import image_hashes

    before = Evaluation.load(given.baseline)
    gate.require_same(threat, images.index, image_hashes(images.data.images).numpy(), before, goal)
    return Opened(bars, before)

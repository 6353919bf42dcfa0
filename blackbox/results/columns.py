"""What an attack on rows of a table changed, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.tabular import Change, Tabular
from blackbox.tabular.changes import changes, lines

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult


def changed(result: AttackResult) -> list[Change]:
    """See `AttackResult.changes`.

    Raises:
        ValueError: the inputs were no rows of a table.
    """
    if result.x_clean is None:
        raise ValueError("Expected the result of an attack on rows of a table, but it had none. Give attack(..., table=Tabular(...)).")
    found = result.success.tolist()
    return [c for c in changes(Tabular(**result.config["table"]), result.x_adv, result.x_clean) if found[c.sample]]


def told(result: AttackResult) -> list[str]:
    """The columns that changed most often among the examples found, for the summary; nothing for other inputs."""
    if result.x_clean is None or not bool(result.success.any()):
        return []
    found = result.success
    head = f"columns          changed in the {int(found.sum())} examples"
    return [head, *lines(Tabular(**result.config["table"]), result.x_adv[found], result.x_clean[found])]

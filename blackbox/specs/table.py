"""``--table FILE.toml``: what a row of a table may be, and which of its columns is the label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from blackbox.plain_text import did_you_mean, of_toml

if TYPE_CHECKING:
    from blackbox.tabular import Tabular
    from surrogates.data.tables import TableSet

FORMS = ("csv", "npz")  # of data that a table describes


def _text(value: Any) -> Any:
    """A column by its place is a name too: ``3`` is ``"3"``."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Column = Annotated[str, BeforeValidator(_text)]


class TableFile(BaseModel):
    """The keys of the file; all may be left out. Columns go by name, or by place where the data have no names.

    Args:
        label: the column of true classes, or of true numbers for a goal; of ``csv:`` data. leave_out: columns that are not the model's.
        integer, categorical, immutable, increasing, ranges: as of `blackbox.Tabular`; a column without a range has that of the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Column | None = None
    leave_out: list[Column] = []
    integer: list[Column] = []
    categorical: dict[str, list[Column]] | list[list[Column] | Column] = []
    immutable: list[Column] = []
    increasing: list[Column] = []
    ranges: dict[str, tuple[float, float]] = {}

    @classmethod
    def load(cls, path: str | Path) -> TableFile:
        """Read a TOML file.

        Raises:
            FileNotFoundError: no such file. ValueError: no TOML, an unknown key, or a value of another form; says all of these.
        """
        where = Path(path)
        if not where.is_file():
            raise FileNotFoundError(f"Expected a file that says what a row may be at {path}, but there is no such file.")
        try:
            return cls(**of_toml(where.read_bytes(), path))
        except ValidationError as error:
            said = "; ".join(map(_fault, error.errors()))
            raise ValueError(f"Expected {path} to say what a row may be, but {said}") from None

    def rules(self, rows: Any, columns: tuple[str, ...]) -> Tabular:
        """The table of rows [N, d]. Raises: ValueError, as `blackbox.Tabular`."""
        from blackbox.tabular import Tabular

        kinds = {"integer": self.integer, "categorical": self.categorical, "immutable": self.immutable, "increasing": self.increasing}
        return Tabular.from_data(rows, columns=columns, ranges=self.ranges, **kinds)


def _fault(fault: Any) -> str:
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        known = list(TableFile.model_fields)
        hint = did_you_mean(where, known) or f" It may have {', '.join(known)}."
        return f"it has the key {where!r}.{hint}"
    return f"{where}: {fault['msg'].lower()}, but it was {fault['input']!r:.60}."


def read_table(data: str, path: str | None, class_names: Any = None, labelled: bool = True) -> tuple[TableSet, Tabular]:
    """The rows of ``csv:FILE`` or ``npz:FILE``, and what they may be, from the file ``path``. labelled: whether labels are needed.

    Raises:
        ValueError, FileNotFoundError: one of the two is not there, or says something else; the message says which.
    """
    from surrogates.data.loaders import UNLABELLED
    from surrogates.data.tables import table_rows

    kind, _, where = data.partition(":")
    if path is None:
        raise ValueError(
            f"Expected --table FILE.toml, what a row may be, with --data {data}, but there was none. An empty file will do. (blackbox "
            "attack, evaluate and sweep take tables.)"
        )
    if kind.lower() not in FORMS or not where:
        raise ValueError(f"Expected --data csv:FILE or npz:FILE with --table, but it was {data!r}.")
    given = TableFile.load(path)
    rows = table_rows(where, given.label, given.leave_out, class_names)
    if labelled and rows.classes == UNLABELLED:
        mend = 'label = "COLUMN"' if kind.lower() == "csv" else "an array labels in the data"
        raise ValueError(f"Expected the true class of each row of {data}, but none is named. Write {mend} (--table {path}).")
    return rows, given.rules(rows.images, rows.columns)

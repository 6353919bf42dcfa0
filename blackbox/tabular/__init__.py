"""Rows of a table as inputs: what a row may be, how an attack sees it, and what changed in which column."""

from blackbox.tabular.changes import Change
from blackbox.tabular.rows import TableRows
from blackbox.tabular.table import Tabular

__all__ = ["Change", "TableRows", "Tabular"]

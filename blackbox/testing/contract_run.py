"""Runs the contract of an attack without pytest, one check after the other."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from blackbox.testing.attack_contract import AttackContract


class Checked(NamedTuple):
    """One check. case: the norm and the goal that it was made with, "" where it has none. fault: what is wrong; "" if nothing."""

    name: str
    case: str
    fault: str


def run_contract(attack: Any, **settings: Any) -> Iterator[Checked]:
    """Run every check of `AttackContract` on an attack: a name, ``file.py:Mine`` or an object.

    Args:
        settings: attributes of the contract, such as ``optimum_budget=10_000``.
    """
    kind: type[AttackContract] = type("Contract", (AttackContract,), {"attack": attack, **settings})
    for name in sorted(word for word in dir(kind) if word.startswith("test_")):
        given = inspect.signature(getattr(kind, name)).parameters
        cases: list[Any] = kind.norm_cases() if "norm_case" in given else kind.cases() if "case" in given else [None]
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                known = {"norm_case": case, "case": case, "tmp_path": Path(folder)}
                try:
                    getattr(kind(), name)(**{word: known[word] for word in given if word in known})
                    fault = ""
                except AssertionError as error:
                    fault = str(error) or "failed"
                except Exception as error:
                    fault = f"{type(error).__name__}: {error}"
            yield Checked(name.removeprefix("test_").replace("_", " "), "" if case is None else str(case), fault)

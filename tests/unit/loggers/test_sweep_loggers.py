"""What a logger is told of a sweep: each point a run of its own, with the settings, and the curve of the table's own result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blackbox.sweep import Study
from blackbox.sweep.views import result
from tests.studies import here, study
from tests.unit.loggers.kept import Full, Kept
from tests.unit.sweep import test_pictures as pictures
from tests.unit.sweep.test_pictures import right

__all__ = ["here", "right"]


def runs(kept: Kept) -> dict[str, Kept]:
    """By its name, what was told of each run."""
    out: dict[str, Kept] = {}
    for call, said in kept.calls:
        if call == "start":
            now = out.setdefault(said["run"], Kept())
        now.calls.append((call, said))
    return out


def test_each_point_is_a_run_with_its_settings_and_its_own_curve(right: Path) -> None:
    kept = Kept()
    table = pictures.study(threats="linf:0.15", seeds=[1]).run("s", jobs=2, log=kept)
    told = runs(kept)
    assert len(told) == len(table.outcomes) == 4
    kept_images = 0
    for run in told.values():
        settings: dict[str, Any] = run.calls[0][1]
        point = next(p for p in table.outcomes if all(settings[k] == v for k, v in p._asdict().items()))
        own = result(table, point)
        assert own is not None
        points = run.points("curve/success_rate")
        assert points[-1][0] == point.budget
        assert [value for _, value in points] == [r.value for r in own.curve([q for q, _ in points])]
        assert run.last("final/success_rate") == table.rate(point).value
        assert run.last("final/spent") == table.outcomes[point]["queries"].sum()
        assert run.calls[-1] == ("end", "done")
        index = [i for call, told in run.calls if call == "images" for i in told[1]]
        kept_images += len(index)
        assert len(index) <= 4 and own.success[[int(i.rpartition("/")[2]) for i in index]].all()
    assert kept_images


def test_a_study_that_goes_on_logs_what_is_new_and_a_finished_one_all(here: Path) -> None:
    values = study().model_dump()
    values["attack"] |= {"seeds": [0], "attacks": ["square"]}
    Study(**values).run("s")
    grown, again = Kept(), Kept()
    study().run("s", log=grown)
    assert len(runs(grown)) == 6
    study().run("s", log=again)
    assert set(runs(again)) > set(runs(grown)) and len(runs(again)) == 8


def test_a_point_with_a_cell_that_failed_is_not_logged(here: Path) -> None:
    kept = Kept()
    table = study(["target.py:refuses", "target.py:linear"]).run("s", log=kept)
    assert len(table.failures) == 32 and {run.calls[0][1]["target"] for run in runs(kept).values()} == {"target.py:linear"}


def test_a_logger_that_fails_ends_no_sweep(here: Path) -> None:
    import pytest

    with pytest.warns(RuntimeWarning, match="Full failed in scalars"):
        table = study().run("s", log=Full("scalars"))
    assert table.done == table.total

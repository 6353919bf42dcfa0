"""The league's scenarios ``small``: each has a ground that fills its slots, and its seeds can be others."""

from __future__ import annotations

import tomllib

import pytest

from blackbox.league import scenario
from experiments.studies.league_grounds import GROUNDS
from experiments.studies.league_small import with_seeds
from experiments.studies.transferbench import files


@pytest.mark.parametrize("name", GROUNDS)
def test_a_ground_fits_its_scenario(name: str) -> None:
    found, _ = scenario.read(name)
    assert len(GROUNDS[name].sealed) == sum(target.sealed for target in found.targets)
    assert [each.name for each in found.pool(list(GROUNDS[name].pool))] == list(GROUNDS[name].pool)
    more = scenario.Scenario(**tomllib.loads(with_seeds(scenario.path_of(name).read_text(), (0, 1, 2))))
    assert (more.seeds, more.version, found.seeds) == ([0, 1, 2], 2, [0])
    assert more.model_copy(update={"seeds": [0], "version": 1}) == found


def test_the_files_of_transferbench_are_those_that_are_written() -> None:
    kept = {path.stem: path.read_text(encoding="utf-8") for path in (scenario.FOLDER / "transferbench").glob("*.toml")}
    assert kept == files()

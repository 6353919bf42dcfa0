"""`Targets`: the models of a scenario, loaded once, and an oracle of its own for each session."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import numpy as np

from blackbox import specs
from blackbox.league import sealed as sealing
from blackbox.league.judge import Judge
from blackbox.league.material import Material, as_floats, beneath
from blackbox.oracle import Oracle, Reply
from blackbox.oracle.calls import in_calls
from blackbox.serving import announced
from blackbox.specs import channels


class Targets:
    """Those of one scenario.

    Args:
        material: of the scenario. sealed: what fills its slots. data: the folder that relative paths start from. only: the names of those
            to load; all by default.

    Raises:
        ValueError, FileNotFoundError: one is not there, or does not fit the images.
    """

    def __init__(
        self, material: Material, sealed: sealing.Sealed | None = None, data: str | os.PathLike[str] | None = None,
        only: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.material, scenario = material, material.scenario
        self.names = [target.name for target in scenario.targets if only is None or target.name in only]
        self._models: dict[str, specs.Model] = {}
        self._hashes: dict[str, str] = {}
        self._clean: dict[str, Reply] = {}
        with beneath(data):
            for name in self.names:
                spec, seed, self._hashes[name] = sealing.chosen(scenario.target(name), sealed, scenario)
                self._models[name] = specs.one_model(spec, material.data, material.classes, material.nets(), seed)
        self._level, self._stack, self.k = channels.served(scenario.attacker.feedback, scenario.stack(), material.classes)
        self.lock = threading.Lock()  # one call at a time: sessions share the models
        for name in self.names:
            self.judge(name)  # a goal that does not fit is found out before anybody plays

    def model_hash(self, name: str) -> str:
        """The hash that binds the host to this target."""
        return self._hashes[name]

    def oracle(self, name: str, seed: int) -> Oracle:
        """A new oracle for the target, with channels and defences that have seen nothing. seed: of their draws."""
        return specs.oracle(self._models[name], self._level, self.material.classes, stack=self._stack, seed=seed)

    def judge(self, name: str) -> Judge:
        """A judge of answers of this target, as its players see them."""
        return Judge(self.material, self.about(self.oracle(name, 0)))

    def clean(self, name: str) -> Reply:
        """The target's answers to the clean images; nothing is charged, and no defence remembers it."""
        if name not in self._clean:
            self._clean[name] = self.answers(name, self.material.levels)
        return self._clean[name]

    def answers(self, name: str, images: np.ndarray) -> Reply:
        """The reply to images [m, \\*shape] uint8, looked up by a new oracle, unwatched."""
        with self.lock:
            return in_calls(self.oracle(name, 0), as_floats(images), "check")

    def submit(self, oracle: Oracle, images: np.ndarray) -> Reply:
        """Make one call about images [m, \\*shape] uint8."""
        with self.lock:
            return oracle.submit(as_floats(images).to(oracle.device), "serve")

    def about(self, oracle: Oracle) -> dict[str, Any]:
        """What a client is told of the target, as of any served one; and what a row of a table may be."""
        table = self.material.table
        return announced(oracle, self.k) | ({} if table is None else {"table": json.loads(json.dumps(table.about()))})

"""What does the league cost? An attack through its server, over the same attack on the target itself.

The target takes 10 ms an image (100 images a second) and the images are 3x32x32; the league's side includes a server in a process of its
own, the journal, the signature, and all files of the entry.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
from benchmarks.clock import paired, seconds, spread
from blackbox.league import signing
from blackbox.league.client import Player
from blackbox.league.material import Material, load
from blackbox.league.play import Attempt, play
from blackbox.league.process import served

SHAPE, CLASSES = (3, 32, 32), 10
MODEL = """
import time
import torch
def slow(x):
    time.sleep(0.01 * len(x))
    return torch.nn.functional.one_hot((x.flatten(1).sum(1) * 0).long(), 10).float()
"""
SCENARIO = """
name = "speed"
threat = "linf:8/255"
budget = {budget}
classes = 10
[images]
data = "npz:images.npz"
[[targets]]
name = "slow"
model = "slow.py:slow"
[attacker]
access = "queries"
feedback = "scores"
quality = "none"
quantity = 0
"""


def direct(material: Material, model: Any) -> None:
    images = torch.from_numpy(material.levels).float() / 255
    bb.attack(
        bb.Oracle(model, "scores", CLASSES), images, material.labels, "square", material.threat, material.scenario.budget, ids=material.ids
    )


def league(s: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    count, budget, pairs = (4, 5, 1) if s.quick else (20, 25, 2 * s.repeats)
    with tempfile.TemporaryDirectory(prefix="blackbox-league-") as name:
        folder = Path(name)
        (folder / "slow.py").write_text(MODEL)
        (folder / "speed.toml").write_text(SCENARIO.format(budget=budget))
        images = (np.random.default_rng(0).integers(0, 256, (count, *SHAPE)) / 255).astype(np.float32)
        np.savez(folder / "images.npz", images=images, labels=np.zeros(count, np.int64))
        material, space = load(folder / "speed.toml", folder), dict[str, Any]()
        exec(MODEL, space)
        numbers = iter(range(10**6))
        private, _ = signing.make(folder / "keys")
        with served("--scenario", "speed.toml", "--key", private, folder=folder) as url:
            player = Player(url, "me")

            def through() -> None:
                entered = f"square {next(numbers)}"
                play(Attempt("square", name=entered), str(folder / "speed.toml"), player, folder / entered, str(folder))

            through()  # the first looks the clean images up
            found = paired(lambda: seconds(partial(direct, material, space["slow"])), lambda: seconds(through), pairs)
    yield "league over direct", {"target": "100 images a second", **spread([b / a for a, b in found])}

"""The images and models of a study, loaded once a process, and checked to be those that it was planned with."""

from __future__ import annotations

import copy
import json
import platform
import threading
from functools import lru_cache
from typing import Any

import numpy as np

from blackbox import specs
from blackbox.specs import goal
from blackbox.specs.goal_files import files_print
from blackbox.specs.goal_text import any_form
from blackbox.specs.model import file_print
from blackbox.sweep.study import Study

GOAL = "goal"  # under which a plan keeps the hash of a goal's files
_LOADING = threading.RLock()  # threads share what is loaded, and must not load it twice


@lru_cache(maxsize=8)
def study(text: str) -> Study:
    """The study that a worker was sent as text."""
    return Study.parse(text)


def images(study: Study) -> specs.ImageSet:
    """The images of a study; where all of it leads to one class, without those of that class."""
    reached = {grid.targeted for grid in (study.attack, study.transfer) if grid is not None}
    with _LOADING:
        labelled = study.transfer is not None or study.attack is None or not any_form(study.attack.goal)
        found = _images(study.images.model_dump_json(), labelled)
    return goal.others(reached.pop(), found) if len(reached) == 1 else found


@lru_cache(maxsize=2)
def _images(text: str, labelled: bool) -> specs.ImageSet:
    given = json.loads(text)
    table = given.pop("table", None)
    return specs.images(specs.Images(**given), labelled=labelled, table=table)


def data_print(study: Study) -> str:
    """A hash of the images, their labels and their ids; of rows of a table that of what they may be, too."""
    from blackbox.checkpoint import fingerprint

    found = images(study)
    rules = [] if found.table is None else [np.frombuffer(repr(found.table.about()).encode(), np.uint8)]
    return fingerprint(found.data.images, found.data.labels, found.index, *rules)


def check(text: str, data: str) -> None:
    """Refuse images whose hash is not ``data``."""
    with _LOADING:
        _check(text, data)


@lru_cache(maxsize=8)
def _check(text: str, data: str) -> None:
    _expect("the data", data, data_print(study(text)))


def model(text: str, spec: str, file: str) -> specs.Model:
    """A model of a study; one whose file has another hash than ``file`` is refused."""
    with _LOADING:
        return _model(text, spec, file)


def copied_net(text: str, spec: str, file: str) -> Any:
    """A copy of a model's net: crafting may set hooks on a net that another thread is using."""
    with _LOADING:
        return copy.deepcopy(_model(text, spec, file).net)


@lru_cache(maxsize=32)
def _model(text: str, spec: str, file: str) -> specs.Model:
    made = study(text)
    _expect(spec, file, file_print(spec, made.own_endpoint))
    shown = images(made)
    nets = specs.Nets(made.classes, made.mean, made.std, returns=made.returns, batch=made.batch, own_endpoint=made.own_endpoint)
    return specs.one_model(spec, shown.data, made.classes or len(shown.data.classes), nets)


def methods(study: Study) -> list[str]:
    """The names of a study's attacks and presets."""
    named = [each.name for each in study.attack.attacks] if study.attack else []
    return [*named, *(study.transfer.presets if study.transfer else [])]


def method_print(name: str) -> str:
    """A hash of the file that an attack or preset of one's own is in, the version of a package's; "" for our own."""
    from blackbox import attacks, plugins

    return attacks.print_of(name) or plugins.print_of(name, "surrogates.presets")


def check_method(name: str, there: str) -> None:
    """Refuse an attack or preset of one's own that is another here than where the study was planned."""
    if there:
        _expect(name, there, method_print(name))


def check_goal(text: str | None, there: str) -> None:
    """Refuse a goal whose files are others here than where the study was planned."""
    if text is not None and there:
        _expect(f"the files of {text}", there, files_print(text))


def forget() -> None:
    """Drop the studies, images and models that are kept: their files may have changed since."""
    for kept in (study, _images, _check, _model):
        kept.cache_clear()


def _expect(what: str, there: str, here: str) -> None:
    if here != there:
        raise ValueError(
            f"Expected {what} to be the same on every machine, but on {platform.node()} its hash is {here or 'none'}, and where "
            f"the study was planned {there or 'none'}. Copy it there."
        )

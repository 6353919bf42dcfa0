"""Goals: turn a target's answer into a loss and a success, for each sample.

`Objective` handles the usual two, a label to leave and a class to reach; `Goal` is the base class of all others, and
``bb.goal(function)`` makes one of one's own. Only goals know labels; the engine calls them, and an attack sees neither.
"""

from blackbox.goals.base import Goal, GoalError
from blackbox.goals.classes import AnyOf, NoneOf
from blackbox.goals.detection import Detection
from blackbox.goals.multilabel import MultiLabel
from blackbox.goals.objective import KINDS, Objective
from blackbox.goals.own import goal
from blackbox.goals.ranking import Ranking
from blackbox.goals.regression import Regression
from blackbox.goals.segmentation import Segmentation
from blackbox.goals.verification import Verification
from blackbox.goals.zero_shot import ZeroShot

__all__ = [
    "KINDS",
    "AnyOf",
    "Detection",
    "Goal",
    "GoalError",
    "MultiLabel",
    "NoneOf",
    "Objective",
    "Ranking",
    "Regression",
    "Segmentation",
    "Verification",
    "ZeroShot",
    "goal",
]

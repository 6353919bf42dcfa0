"""Goals: turn a target's answer into a loss and a success, for each sample.

`Objective` handles both kinds of goal, a label to leave and a class to reach. Only it knows labels; the engine calls
``judge`` and ``shown``, and an attack sees neither.
"""

from blackbox.goals.objective import KINDS, Objective

__all__ = ["KINDS", "Objective"]

"""Goals: from an answer of the target to a loss and a success, for each sample.

`Objective` serves both goals there are, a label to leave and a class to reach. It is the only place that knows a label; the
engine calls ``judge`` and ``shown``, and an attack sees neither.
"""

from blackbox.goals.objective import KINDS, Objective

__all__ = ["KINDS", "Objective"]

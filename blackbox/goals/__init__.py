"""Goals: from an answer of the target to a loss and a success, for each sample."""

from blackbox.goals.objective import KINDS, Objective

__all__ = ["KINDS", "Objective"]

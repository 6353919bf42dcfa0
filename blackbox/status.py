"""`Status`: how a sample ended."""

from __future__ import annotations

import enum


class Status(enum.Enum):
    """How a sample ended; the value is the sentence for a report."""

    SUCCESS = "an adversarial example inside the threat was found"
    BUDGET = "the query budget was spent without success"
    CLEAN_WRONG = "the target already gets the clean image wrong; it was not attacked"
    NO_START = "no adversarial starting point was found"
    GAVE_UP = "the attack's own loop ended before the budget, without success"
    ERROR = "the target failed, or the run was stopped, before the sample was finished"
    ROUNDED_AWAY = "an adversarial example was found, but not one that is adversarial as an 8-bit image"
    REJECTED = "the target rejected the clean image, so that it is unknown whether it has it right; it was not attacked"
    REACHED = "the clean input reaches the goal already; it was not attacked"

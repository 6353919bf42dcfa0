"""The engine: runs one attack against one oracle, and keeps the accounts of every sample.

    engine        puts the parts together: one run from the first query to the verification
    spec          what a run is: attack, threat, samples, budget, seed (frozen, shared by all parts)
    scheduler     the loop: opens cohorts, begins steps, drops finished rows
    evaluator     the Asks of all cohorts -> calls of the oracle -> answers
    accounts      who pays, what an answer is worth, when a sample is finished
    ledger        the columns in which all that is written down
    cohort        samples that step together, as plain data
    confirmation  majority of fresh, charged answers, where the target answers by chance
    verification  a last, uncharged call about each example, and its 8-bit version
    resume        a run's checkpoint
    progress      what a caller is told while it runs
"""

from blackbox.engine.engine import Engine
from blackbox.engine.progress import Progress
from blackbox.engine.scheduler import iterate
from blackbox.engine.spec import RunSpec, Samples

__all__ = ["Engine", "Progress", "RunSpec", "Samples", "iterate"]

"""The engine: runs one attack against one oracle, and counts every sample's queries.

    engine        puts the parts together: one run from the first query to the verification
    spec          the settings of a run: attack, threat, samples, budget, seed (frozen, shared by all parts)
    scheduler     the loop: opens cohorts, starts steps, drops finished rows
    sharing       the same where images share one budget: who goes on, and who waits
    evaluator     the Asks of all cohorts -> calls of the oracle -> answers
    accounts      who pays, what counts as a success, when a sample is finished
    ledger        the columns that record all this
    cohort        samples that step together, as plain data
    confirmation  majority of fresh, charged answers, for randomised targets
    verification  a last, uncharged call for each example, and its 8-bit version
    rounding      the 8-bit versions that an example may have
    resume        a run's checkpoint
    progress      progress reports to the caller
"""

from blackbox.engine.engine import Engine
from blackbox.engine.progress import Progress
from blackbox.engine.scheduler import iterate
from blackbox.engine.spec import RunSpec, Samples

__all__ = ["Engine", "Progress", "RunSpec", "Samples", "iterate"]

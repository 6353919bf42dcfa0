"""Acquisition: choose images, query a target with them, and train a surrogate on its answers.

    got = surrogates.learn(surrogates.build("lenet"), oracle, pool, "jacobian", queries=6400, held_out=0)
    print(got.bill, got.curve.table(), sep="\\n")
    # attack through got.net; got.answers can be used for further training and bagging without more queries

A strategy is a frozen dataclass with two methods, `Strategy.plan` (how many queries in which round) and `Strategy.select`
(which images); copy `uncertainty` to write one. An instance can be passed wherever a name can.

    distil        all queries at once, images at random; the oracle's access and the recipe decide what is learned
    random        images at random, round by round: the baseline of the active strategies
    uncertainty   the images that the surrogate is least sure of
    k-center      the images farthest from all that were queried
    dfal          the images nearest to the surrogate's own boundary, far from one another
    jacobian      new images along the surrogate's Jacobian, from a handful of seeds
    noised        half of the queries on images, half on the same images under noise: for targets that show labels only

A pool may be data of the target's kind, another data set (`fitted`), procedural pictures (`procedural`), or noise (`noise`); `Pilot`
chooses between several by a few answers on each. Without any, `data_free` learns to make images; `surrogates.extract` chooses between
all of these.
"""

from surrogates.acquisition.active import DFAL, KCenter, Uncertainty
from surrogates.acquisition.bagged import Bag, bagged
from surrogates.acquisition.base import Bill, Choice, Rounds, Situation, Strategy, bill
from surrogates.acquisition.curve import AgreementCurve, plot
from surrogates.acquisition.data_free import DFME, MAZE, DataFree, DataFreeLearned, Generator, HardLabel, data_free
from surrogates.acquisition.data_free import names as data_free_names
from surrogates.acquisition.extract import Extraction, extract
from surrogates.acquisition.learn import Learned, learn
from surrogates.acquisition.pilot import Pilot
from surrogates.acquisition.pools import fitted, noise, procedural, widened
from surrogates.acquisition.random import Distil, Random
from surrogates.acquisition.strategies import get, names
from surrogates.acquisition.synthetic import Jacobian, Noised
from surrogates.acquisition.teach import teach

__all__ = [
    "DFAL", "DFME", "MAZE", "AgreementCurve", "Bag", "Bill", "Choice", "DataFree", "DataFreeLearned", "Distil", "Extraction", "Generator",
    "HardLabel", "Jacobian", "KCenter", "Learned", "Noised", "Pilot", "Random", "Rounds", "Situation", "Strategy", "Uncertainty", "bagged",
    "bill", "data_free", "data_free_names", "extract", "fitted", "get", "learn", "names", "noise", "plot", "procedural", "teach", "widened",
]  # fmt: skip

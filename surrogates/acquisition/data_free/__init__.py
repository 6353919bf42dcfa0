"""Extraction without data: a generator makes the images that a target is asked about.

    got = surrogates.acquire.data_free(surrogates.build("cnn", 10, (1, 8, 8)), oracle, "dfme", queries=20_000)
    print(got.bill, got.notes)

    dfme         forward differences of the disagreement (arXiv:2011.14779)
    maze         more directions, and replay (arXiv:2005.03161)
    hard-label   for labels only: the copy guides the generator (after arXiv:2312.05924)

The papers spend millions of queries. At small budgets pictures that nobody had to learn to make, `surrogates.acquire.procedural`, may be
a better pool; `surrogates.extract` takes these.
"""

from surrogates.acquisition.data_free.generator import Generator
from surrogates.acquisition.data_free.loop import DataFreeLearned, data_free
from surrogates.acquisition.data_free.methods import DFME, MAZE, DataFree, HardLabel, names

__all__ = ["DFME", "MAZE", "DataFree", "DataFreeLearned", "Generator", "HardLabel", "data_free", "names"]

"""Transfer: how many examples crafted on one net fool another, with noise baselines, clean errors and intervals."""

from surrogates.transfer.compare import Comparison, compare
from surrogates.transfer.conditions import GIVEN, SAME
from surrogates.transfer.matrix import Split, TransferMatrix
from surrogates.transfer.measure import transfer_matrix
from surrogates.transfer.noise import KINDS, gaussian_noise, same_length_noise, uniform_noise
from surrogates.transfer.runs import Retrained, Run, Source

__all__ = [
    "GIVEN", "KINDS", "SAME", "Comparison", "Retrained", "Run", "Source", "Split", "TransferMatrix", "compare",
    "gaussian_noise", "same_length_noise", "transfer_matrix", "uniform_noise",
]  # fmt: skip

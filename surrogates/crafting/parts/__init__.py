"""What the crafting loop is made of, one place a file; see `surrogates.crafting.parts.base.SLOTS`."""

from surrogates.crafting.parts.aggregate import Aggregate, Cosine, Variance
from surrogates.crafting.parts.base import SLOTS, Part, Parts
from surrogates.crafting.parts.cfm import CFM
from surrogates.crafting.parts.ensemble import CWA, SVRE, AdaEA, RowWeights
from surrogates.crafting.parts.features import BFA, FIA, ILA, NAA
from surrogates.crafting.parts.filters import TI
from surrogates.crafting.parts.finish import Damped, EightBit, Filter, Momentum, Projection, RandomStart, Start, Step
from surrogates.crafting.parts.flat import Conditional, Line, Pair, Worst
from surrogates.crafting.parts.fusion import Answer, Fusion, LogitFusion, LossFusion, ProbabilityFusion
from surrogates.crafting.parts.losses import CrossEntropy, Logit, LogitMargin, Loss, Margin, PoTrip
from surrogates.crafting.parts.mix import Admix
from surrogates.crafting.parts.nets import Listener, Surgery
from surrogates.crafting.parts.probes import Ahead, LookAhead, Neighbourhood, PreGradient, Probe
from surrogates.crafting.parts.resize import DEM, DI
from surrogates.crafting.parts.scale import SI
from surrogates.crafting.parts.schedule import Cycle, Random, Schedule
from surrogates.crafting.parts.shuffle import BSR
from surrogates.crafting.parts.spectrum import SSA
from surrogates.crafting.parts.structure import SIA
from surrogates.crafting.parts.surgery import BPA, SGM, LinBP, Tap
from surrogates.crafting.parts.universal import Local, SelfUniversality
from surrogates.crafting.parts.views import View

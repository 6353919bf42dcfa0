"""The parts of the crafting loop, grouped by slot; `surrogates.crafting.parts.base.SLOTS` lists the slots."""

from surrogates.crafting.parts.apgd import APGD, Best, Value
from surrogates.crafting.parts.attention import ATT, FPR, PNA, TGR, VDC
from surrogates.crafting.parts.base import SLOTS, Part, Parts
from surrogates.crafting.parts.blocks import BSR, SIA
from surrogates.crafting.parts.cfm import CFM
from surrogates.crafting.parts.ensemble import CWA, SVRE, AdaEA, Cycle, Random, RowWeights, Schedule
from surrogates.crafting.parts.everywhere import Everywhere
from surrogates.crafting.parts.features import BFA, FIA, ILA, NAA, Local, SelfUniversality
from surrogates.crafting.parts.finish import (
    TI,
    Damped,
    EightBit,
    Filter,
    Momentum,
    Projection,
    RandomStart,
    Start,
    Step,
)
from surrogates.crafting.parts.ftm import FTM
from surrogates.crafting.parts.intensity import SI, SSA, Admix
from surrogates.crafting.parts.losses import (
    DLR,
    Answer,
    CrossEntropy,
    Fusion,
    Logit,
    LogitFusion,
    LogitMargin,
    Loss,
    LossFusion,
    Margin,
    PoTrip,
    ProbabilityFusion,
)
from surrogates.crafting.parts.operations import L2T, OPERATIONS, Operators
from surrogates.crafting.parts.patch_out import PatchOut, SelfPaced
from surrogates.crafting.parts.paths import Integrated, Shells, Spectral
from surrogates.crafting.parts.probes import (
    Aggregate,
    Ahead,
    Conditional,
    Cosine,
    Line,
    LookAhead,
    Neighbourhood,
    Pair,
    PreGradient,
    Probe,
    Variance,
    Worst,
)
from surrogates.crafting.parts.pushed import P2FA, PushTap
from surrogates.crafting.parts.redundant import LL2S
from surrogates.crafting.parts.resize import DEM, DI
from surrogates.crafting.parts.style import STM
from surrogates.crafting.parts.surgery import BPA, SGM, LinBP, Listener, Surgery, Tap
from surrogates.crafting.parts.tuned import AWT
from surrogates.crafting.parts.views import View
from surrogates.crafting.parts.warp import Warp

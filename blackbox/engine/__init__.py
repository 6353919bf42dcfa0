"""The engine: runs one attack against one oracle, and keeps the accounts of every sample."""

from blackbox.engine.engine import Engine
from blackbox.engine.progress import Progress
from blackbox.engine.scheduler import iterate
from blackbox.engine.spec import RunSpec, Samples

__all__ = ["Engine", "Progress", "RunSpec", "Samples", "iterate"]

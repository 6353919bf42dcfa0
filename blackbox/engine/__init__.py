"""The engine: runs one attack against one oracle, and keeps the accounts of every sample."""

from blackbox.engine.engine import Engine, Progress, iterate

__all__ = ["Engine", "Progress", "iterate"]

"""Results of an attack: per-sample outcomes, rates derived from them, files, a summary."""

from blackbox.results.result import AttackResult

__all__ = ["AttackResult"]

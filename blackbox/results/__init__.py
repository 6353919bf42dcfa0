"""Results of an attack: per-sample outcomes, rates derived from them, files, a summary."""

from blackbox.results.result import AttackResult
from blackbox.results.summary import incomplete, received, remedy, sent

__all__ = ["AttackResult", "incomplete", "received", "remedy", "sent"]

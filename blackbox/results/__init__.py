"""Results of an attack: per-sample outcomes, rates derived from them, files, a summary."""

from blackbox.results.result import AttackResult
from blackbox.results.summary import flagged, incomplete, received, remedy, sent, unverified

__all__ = ["AttackResult", "flagged", "incomplete", "received", "remedy", "sent", "unverified"]

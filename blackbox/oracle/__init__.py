"""The oracle: the only place where a target is called. It shows what its access level allows and counts every query."""

from blackbox.oracle.oracle import Oracle
from blackbox.oracle.reply import Reply
from blackbox.oracle.validation import TargetError

__all__ = ["Oracle", "Reply", "TargetError"]

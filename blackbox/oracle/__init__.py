"""The oracle: the only place where a target is called. It shows what its access level allows and counts every row."""

from blackbox.oracle.oracle import Oracle, Reply, TargetError

__all__ = ["Oracle", "Reply", "TargetError"]

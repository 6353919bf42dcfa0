"""Defences: targets that mislead or detect a client who attacks. Each is a target around a target."""

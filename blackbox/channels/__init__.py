"""Channels: what stands between a client and a target (rounding, noise, 8-bit input, retries). Each is a target around a target."""

"""Nets: architectures to build by name, their weights, and how to ask them for predictions."""

"""Specs: from a text (``net.onnx``, ``npz:images.npz``, ``linf:8/255``) to the target, data, threat or attack that it names."""

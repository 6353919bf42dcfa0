"""Crafting: adversarial examples from the gradients of nets that one owns."""

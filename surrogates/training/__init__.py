"""Training: recipes, the loop that follows them, and what makes a better surrogate (adversarial training, averaged weights)."""

"""Surgery: changing how a net computes its output or its gradients, without touching its weights."""

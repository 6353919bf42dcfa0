"""
Your own model as the target
============================

Any function can be a target: here one around a scikit-learn pipeline, which brings the images into the form that the model
takes. Then the same attack at several access levels shows how much each of them gives away.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import blackbox as bb

# The model takes rows of 64 counts from 0 to 16 and answers with decision values
digits = load_digits()
pipeline = make_pipeline(PCA(20, random_state=0), SVC(random_state=0)).fit(digits.data[:1200], digits.target[:1200])


def model(images: torch.Tensor) -> torch.Tensor:
    """[m, 1, 8, 8] floats in [0, 1] -> scores [m, 10]. Scaling, resizing and remote calls have their place here."""
    values = pipeline.decision_function(16 * images.flatten(1).numpy())
    return torch.softmax(torch.from_numpy(values), dim=1)


x = (digits.images[1200:1240, None] / 16).astype(np.float32)
y = digits.target[1200:1240]

shown = {
    "scores": bb.Oracle(model, access="scores", classes=10),
    "scores, one decimal": bb.Oracle(bb.targets.Rounded(model, 1), access="scores", classes=10),
    "the label alone": bb.Oracle(model, access="labels", classes=10),
}
print("fooled within                    20 queries               100 queries               300 queries")
for name, oracle in shown.items():
    result = bb.attack(oracle, x, y, "auto", threat=bb.Linf(0.2), budget=300, seed=0)
    print(f"{name:20}", *(f"{rate!s:>25}" for rate in result.curve([20, 100, 300])))

# %%
# One decimal stops the attack that follows the scores, and protects from nothing: who sees it sees the label too, and the attack on
# labels fools six times as many. The row of an access level holds for that level *and all above it*; the strongest of them counts.
#
# What does not fit is said at once, before a query is charged:

try:
    bb.attack(shown["scores"], 16 * x, y, "auto", threat=bb.Linf(0.2), budget=300)
except ValueError as error:
    print(error)

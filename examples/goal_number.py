"""
Move a number
=============

Not every model has classes. `blackbox.goals.Regression` moves the number that a model answers with. Here a ridge regression reads digits
as numbers, with decimals. What the same does to a published net that tells the age of a face stands below.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

import blackbox as bb

digits = load_digits()
model = Ridge().fit(digits.data[:900] / 16, digits.target[:900])
x = (digits.images[900:960, None] / 16).astype(np.float32)


def read(rows) -> np.ndarray:
    """[m, 1, 8, 8] -> [m]"""
    return model.predict(rows.flatten(1).numpy())


oracle = bb.Oracle(read, access="answers")
clean = model.predict(x.reshape(len(x), -1))
moves = [1, 2, 3, 4]
print("reached within              30 queries            300 queries")
results = {}
for attack in ("square", "nes"):
    for by in moves:
        goal = bb.goals.Regression(reference=clean, by=by, way="up")
        results[attack, by] = bb.attack(oracle, x, None, attack, bb.Linf(0.1), budget=300, goal=goal, seed=0)
        print(f"{attack:7} up by {by}:", *(f"{rate!s:>22}" for rate in results[attack, by].curve([30, 300])))

# %%
# The farther, the dearer:

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
for attack in ("square", "nes"):
    rates = [results[attack, by].curve([300])[0] for by in moves]
    spread = [[100 * (r.value - r.low) for r in rates], [100 * (r.high - r.value) for r in rates]]
    axis.errorbar(moves, [100 * r.value for r in rates], yerr=spread, marker="o", capsize=3, label=attack)
axis.set(xlabel="moved up by", xticks=moves, ylabel="reached in 300 queries, % [95 %]", ylim=(0, 103))
axis.legend(frameon=False)
plt.show()

# %%
# The age of a face
# -----------------
#
# The age net of face-api on faces of 25 pixels, at 8/255; how often, and at what cost, is told
# in :doc:`Goals beyond one class </results/goals>`. Attack nets that are yours or that you may test.
#
# .. image:: /goal_age.png
#    :alt: Faces before and after, with the age that a net gives them

"""
A first attack
==============

How many queries does it take to fool a classifier that has no gradient? The target is a random forest on
digits of 8×8 pixels; every image passes through the oracle, which counts it.
"""

from sklearn.ensemble import RandomForestClassifier

import blackbox as bb
import surrogates as sg

# Images to train the model on, and others to attack it on: floats in [0, 1], [n, 1, 8, 8]
part = sg.split(sg.load("digits"), {"target": 900, "attack": 50}, seed=0)
forest = RandomForestClassifier(100, random_state=0).fit(part["target"].images.flatten(1), part["target"].labels)

# From here on the forest is seen only through the oracle, which counts queries
oracle = bb.Oracle(forest, access="scores", classes=10)
x, y = part["attack"].images, part["attack"].labels

# Every pixel may change by at most 0.15; the budget is 200 queries per image
result = bb.attack(oracle, x, y, "square", threat=bb.Linf(0.15), budget=200, seed=0)
print(result.summary())

# %%
# Each rate stands with its denominator, the images that the target had right, and a 95 % interval. The same within fewer queries:

for budget, rate in zip([5, 20, 50, 200], result.curve([5, 20, 50, 200]), strict=True):
    print(f"{budget:4}  {rate}")

# %%
# Everything is there image by image. Looking at what was found costs five queries more, on the oracle's count and on nobody's budget.

labels = oracle(result.x_adv[:5]).label
for i in range(5):
    print(f"a {y[i]}, now taken for a {labels[i]}: {result.queries[i]:3} queries, {result.status[i].value}")
print(f"\nin all {oracle.rows:,} queries, {oracle.counts['user']} of them ours;", end=" ")
print(f"{oracle.counts['verify']} looks at what was found are not charged")

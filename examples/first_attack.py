"""A first attack: how many questions does it take to fool a classifier that has no gradient?"""

from sklearn.ensemble import RandomForestClassifier

import blackbox as bb
import surrogates as sg

# The images that the model learns from, and others that it is attacked on: floats in [0, 1], [n, 1, 8, 8]
part = sg.split(sg.load("digits"), {"target": 900, "attack": 50}, seed=0)
forest = RandomForestClassifier(100, random_state=0).fit(part["target"].images.flatten(1), part["target"].labels)

# From here on nobody sees the forest, only what the oracle shows of it; and the oracle counts
oracle = bb.Oracle(forest, access="scores", classes=10)
x, y = part["attack"].images, part["attack"].labels

# Every pixel may change by 0.15 at most, every image may cost 200 questions
result = bb.attack(oracle, x, y, "square", threat=bb.Linf(0.15), budget=200, seed=0)
print(result.summary())

print("\nfooled within so many questions")
for budget, rate in zip([5, 20, 50, 200], result.curve([5, 20, 50, 200]), strict=True):
    print(f"{budget:4}  {rate}")

# Everything is there image by image
labels = oracle(result.x_adv[:5]).label  # five questions more, on the oracle's count and on nobody's budget
print("\nthe first five images")
for i in range(5):
    print(f"a {y[i]}, now taken for a {labels[i]}: {result.queries[i]:3} questions, {result.status[i].value}")
print(f"\nin all {oracle.rows:,} questions, {oracle.counts['user']} of them ours;", end=" ")
print(f"{oracle.counts['verify']} looks at what was found are not charged")

"""
Words that are safe, behind HTTP
================================

A moderation service answers with words and scores, and some of the words are safe. `blackbox.goals.NoneOf` takes the words. The service
runs in this process, on a port of this machine; it takes a PNG and rounds its scores. Here it knows digits, and even ones are safe. What
the same does to a published moderation net stands below.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import blackbox as bb
from blackbox.testing import moderation

model = moderation.digits()
WORDS, SAFE = moderation.DIGITS, ["zero", "two", "four", "six", "eight"]
service = moderation.Moderation(lambda x: model(x).round(2), token="secret", top=10).start()
target = bb.targets.Rest(
    service.url,
    headers={"Authorization": "Bearer secret"},
    body={"image": "$image"},
    words="predictions[*].label",
    scores="predictions[*].score",
    classes=list(WORDS),
    decimals=2,
)

digits = load_digits()
even = np.flatnonzero(digits.target[900:] % 2 == 0)[:15] + 900
x = (np.round(digits.images[even, None] / 16 * 255) / 255).astype(np.float32)  # what a PNG can hold
goal = bb.goals.NoneOf(SAFE)

results = {}
print("reached within     10 queries             30 queries            100 queries")
for access in ("scores", "labels"):
    oracle = bb.Oracle(target, access=access, classes=list(WORDS))
    results[access] = bb.attack(oracle, x, None, "auto", bb.Linf(0.2), budget=100, goal=goal, seed=0)
    print(f"{access:7}", *(f"{rate!s:>22}" for rate in results[access].curve([10, 30, 100])))
print(f"the service billed {service.billed.total():,} images")

# %%
# What was found, and the word that the service has for it:

result = results["scores"]
shown = result.success.nonzero()[:4, 0].tolist()
figure, axes = plt.subplots(2, len(shown), figsize=(6, 3.4), layout="constrained")
for i, column in zip(shown, axes.T, strict=True):
    for axis, image, word in zip(column, (x[i, 0], result.x_adv[i, 0]), (result.clean_label[i], result.adv_label[i]), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(WORDS[int(word)], fontsize=10)
        axis.set_axis_off()
plt.show()
service.stop()

# %%
# On a published moderation net
# -----------------------------
#
# nsfwjs, a net of five classes, behind the same kind of service, on harmless photographs, at 16/255; how often, at what cost, and what
# rounding costs the attacker is told in :doc:`Goals beyond one class </results/goals>`. Attack nets that are yours or that you may
# test.
#
# .. image:: /goal_moderation.png
#    :alt: Photographs with the words of a moderation service, before and after

"""
Out of the first three
======================

A shop shows its five best suggestions, so that it is not enough to lose the first place. `blackbox.goals.NoneOf` with ``k`` drives a class
out of the first k, `blackbox.goals.AnyOf` brings one among them. Here the first three of ten digits. What five of a thousand cost stands
below.
"""

import matplotlib.pyplot as plt

import blackbox as bb
import surrogates as sg

part = sg.split(sg.load("digits"), {"target": 900, "attack": 25}, seed=0)
net = sg.train(sg.build("cnn", classes=10, shape=(1, 8, 8)), part["target"], sg.Recipe(epochs=8), seed=0)
x, y = part["attack"].images, part["attack"].labels

oracle = bb.Oracle(net, access="topk", classes=10, k=3)  # three classes and their scores, nothing of the others
print("reached within            30 queries            100 queries            300 queries")
results = {}
for k in (1, 2, 3):
    goal = bb.goals.NoneOf(y[:, None], k=k)  # a set for each image
    results[k] = bb.attack(oracle, x, None, "auto", bb.Linf(0.2), budget=300, goal=goal, seed=0)
    print(f"out of the first {k}:", *(f"{rate!s:>22}" for rate in results[k].curve([30, 100, 300])))

# %%
# A class that is not listed has no score; it counts as having no more than the last that is. What is listed before and after:

shown = results[3].success.nonzero()[:3, 0].tolist()
clean, found = oracle(x[shown]), oracle(results[3].x_adv[shown])
figure, axes = plt.subplots(2, len(shown), figsize=(5, 4), layout="constrained")
for line, images, reply in ((axes[0], x[shown], clean), (axes[1], results[3].x_adv[shown], found)):
    for axis, image, three in zip(line, images, reply.classes, strict=True):
        axis.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        axis.set_title(", ".join(map(str, three.tolist())), fontsize=10)
        axis.set_axis_off()
plt.show()

# %%
# Five of a thousand
# ------------------
#
# A MobileNet for ImageNet that lists its first five, at 4/255; how often, and at what cost, is told
# in :doc:`Goals beyond one class </results/goals>`. Attack nets that are yours or that you may test.
#
# .. image:: /goal_top_five.png
#    :alt: Photographs with the five classes that a net lists, before and after

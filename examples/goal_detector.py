"""
Make an object vanish
=====================

A detector answers with boxes, as many as it finds. `blackbox.goals.Detection` reads them in any usual form: objects vanish, appear, or
get another name. Here the detector slides a classifier over a page on which two digits are written. What the same does to a published
detector stands below.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from torchvision.ops import batched_nms

import blackbox as bb

digits = load_digits()
rng = np.random.default_rng(0)
pages = np.zeros((400, 24, 24), np.float32)
for page in pages:
    for left in (0, 12):  # one digit in each half
        i, top, at = rng.integers(900), rng.integers(17), left + rng.integers(5)
        page[top : top + 8, at : at + 8] = digits.images[i] / 16

# A window with a digit, against windows that are shifted off it, or empty
whole = digits.images[:900] / 16
off = np.stack([np.roll(np.pad(image, 4), tuple(rng.choice([-6, -5, 5, 6], 2)), (0, 1))[4:12, 4:12] for image in whole])
windows = np.concatenate([whole, off, 0 * off[:200]]).reshape(-1, 64)
kind = np.concatenate([digits.target[:900], np.full(1100, 10)])
forest = RandomForestClassifier(60, random_state=0).fit(windows, kind)
CORNERS = torch.cartesian_prod(torch.arange(0.0, 17), torch.arange(0.0, 17))


def detector(rows: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """[m, 1, 24, 24] -> for each its boxes, with scores and labels."""
    cut = rows.unfold(2, 8, 1).unfold(3, 8, 1).reshape(-1, 64)
    scores, labels = torch.from_numpy(forest.predict_proba(cut.numpy())[:, :10]).view(len(rows), 289, 10).max(2)
    boxes = torch.cat([CORNERS.flip(1), CORNERS.flip(1) + 8], 1)
    kept = [batched_nms(boxes, s.float(), torch.zeros(289), 0.2) for s in scores]
    return [{"boxes": boxes[k], "scores": s[k], "labels": n[k]} for k, s, n in zip(kept, scores, labels, strict=True)]


x = pages[:12, None]
oracle = bb.Oracle(detector, access="answers")
clean = oracle(torch.from_numpy(x)).answers
goal = bb.goals.Detection(clean, mode="vanish", score=0.4, iou=0.5)
result = bb.attack(oracle, x, None, "square", bb.Linf(0.25), budget=100, goal=goal, seed=0)
print(result.summary())

# %%
# What the detector finds, before and after:

shown = torch.nonzero(result.success)[:3, 0].tolist()
figure, axes = plt.subplots(2, len(shown), figsize=(5, 3.8), layout="constrained")
after = detector(result.x_adv[shown])
for column, i, now in zip(axes.T, shown, after, strict=True):
    for axis, image, said in zip(column, (x[i], result.x_adv[i].numpy()), (clean[i], now), strict=True):
        axis.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        axis.set_axis_off()
        for (x1, y1, x2, y2), score in zip(said["boxes"], said["scores"], strict=True):
            if score >= 0.4:
                axis.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor="tab:red", linewidth=1.5))
plt.show()

# %%
# On a published detector
# -----------------------
#
# NanoDet, trained on COCO, on photographs, at 8/255; how often, and at what cost, is told
# in :doc:`Goals beyond one class </results/goals>`. Attack nets that are yours or that you may test.
#
# .. image:: /goal_detector.png
#    :alt: Photographs with the boxes that a detector finds, before and after

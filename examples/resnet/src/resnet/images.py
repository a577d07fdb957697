"""Images before a model sees them."""

import numpy as np


def prepare(images, labels, test_share):
    """Return images between 0 and 1 with their labels: those to train with, those to test with."""
    order = np.random.default_rng(1).permutation(len(images))
    first = round(len(images) * test_share)
    test, train = order[:first], order[first:]
    scaled = images / 255.0
    return scaled[train], labels[train], scaled[test], labels[test]

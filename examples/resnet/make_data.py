"""Write data/images.npy and data/labels.npy: noisy bars and crosses, the same at every run."""

from pathlib import Path

import numpy as np

COUNT, SIDE = 300, 12


def main(folder: Path) -> None:
    """Write both files."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, COUNT)
    images = random.integers(0, 100, (COUNT, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(4, SIDE - 4, 2)
        if label != 1:
            image[row, 1:-1] += 150
        if label != 0:
            image[1:-1, column] += 150
    np.save(folder / "images.npy", images.clip(0, 255).astype(np.uint8))
    np.save(folder / "labels.npy", labels)


if __name__ == "__main__":
    main(Path(__file__).parent / "data")

"""Speed of the common corruptions: ``python -m benchmarks.distortions [--quick] [--json]``.

On one core, for photographs of 224 and of 32 pixels, an equal number at each severity from 1 to 5: images per second of
deepcorrect, in batches of 64 as in training, and of ``imagecorruptions-imaug``, which takes one image at a time. That package
has the parameters for 224 pixels alone; deepcorrect has others for 32. Times are those of the processor, so that other work on
the machine counts little; of three rounds, in which the two take turns, the median counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from imagecorruptions import corrupt
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from torch import Tensor

from deepcorrect.base.device import describe_machine, keep_memory
from deepcorrect.distortions.registry import GROUPS, get_distortion

CPU = torch.device("cpu")
NAMES = (*GROUPS["imagenet-c"], *GROUPS["imagenet-c-extra"])
SIDES = (224, 32)
BATCH = 64
ROUNDS = 3
Pictures = NDArray[np.uint8]


def photographs(side: int) -> Pictures:
    """(BATCH, side, side, 3): parts of the two photographs that come with scikit-learn."""
    draw = np.random.default_rng(side)
    taken = []
    for index in range(BATCH):
        picture = load_sample_images().images[index % 2]
        top, left = (int(draw.integers(length - side)) for length in picture.shape[:2])
        taken.append(picture[top : top + side, left : left + side])
    return np.stack(taken)


def severities(count: int) -> list[int]:
    """As many of each as of every other, or nearly so."""
    return [1 + index % 5 for index in range(count)]


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def batch_of(name: str, images: Tensor) -> Callable[[], object]:
    """One batch as deepcorrect distorts it."""
    distortion, severity = get_distortion(name), torch.tensor(severities(len(images)), dtype=torch.float32)
    return lambda: distortion(images, severity, generator=torch.Generator().manual_seed(0))


def one_by_one(name: str, pictures: Pictures) -> Callable[[], object]:
    """The opponent, on some images."""
    each = list(zip(pictures, severities(len(pictures)), strict=True))
    return lambda: [corrupt(picture, severity, name) for picture, severity in each]


def compare(name: str, pictures: Pictures, opposed: int, rounds: int) -> dict[str, float]:
    """Images per second of both, and how many times as fast deepcorrect is.

    Args:
        pictures: (B, H, W, 3).
        opposed: how many of them the opponent gets.
        rounds: how often both are timed.
    """
    ours = batch_of(name, torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous() / 255)
    theirs = one_by_one(name, pictures[:opposed])
    ours()
    one_by_one(name, pictures[:5])()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    own, other = (statistics.median(each) for each in zip(*times, strict=True))
    return rates(own / len(pictures), other / opposed)


def rates(own: float, other: float) -> dict[str, float]:
    """Of seconds an image."""
    return {
        "images_per_second": round(1 / own, 1),
        "opponent_images_per_second": round(1 / other, 1),
        "speedup": round(other / own, 2),
    }


def family(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """All corruptions of one image, one after the other."""
    own, other = (sum(1 / each[key] for each in figures) for key in ("images_per_second", "opponent_images_per_second"))
    return rates(own, other)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, in which the opponent gets 5 images instead of 20")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_memory()
    opposed, rounds = (5, 1) if options.quick else (20, ROUNDS)
    picture = photographs(32)[:1]
    first = seconds(one_by_one("glass_blur", picture))
    figures: dict[str, object] = {
        "machine": describe_machine(CPU),
        "torch": torch.__version__,
        "first_glass_blur_of_the_opponent_seconds": round(first, 2),
    }
    if not options.json:
        print(f"The opponent's first glass blur, which it compiles, takes {first:.2f} s; it is not counted below.")
    for side in SIDES:
        pictures = photographs(side)
        table = {}
        for name in NAMES:
            table[name] = compare(name, pictures, opposed, rounds)
            if not options.json:
                print(row(side, name, table[name]), flush=True)
        table["family"] = family(list(table.values()))
        if not options.json:
            print(row(side, "all 19 of an image", table["family"]), flush=True)
        figures[f"{side} pixels"] = table
    if options.json:
        print(json.dumps(figures))


def row(side: int, name: str, figures: dict[str, float]) -> str:
    """A line of the table."""
    own, other, speedup = figures.values()
    return f"{side:4} pixels  {name:18} {own:10.1f} images/s, opponent {other:8.1f}, {speedup:6.2f} times as fast"


if __name__ == "__main__":
    main()

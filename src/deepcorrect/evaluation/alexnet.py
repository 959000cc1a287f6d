"""AlexNet's errors under the 15 corruptions of ImageNet-C, by which a mean corruption error (mCE) is normalised."""

from __future__ import annotations

from collections.abc import Mapping

ERRORS: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""Shares of wrongly classified images in [0, 1], mean over severities 1 to 5 (Hendrycks and Dietterich, ICLR 2019)."""
CLASSES = 1000
SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)


def mean_corruption_error(errors: Mapping[str, float]) -> float:
    """The mCE: mean over the corruptions of a network's error divided by AlexNet's; 1 is as bad as AlexNet.

    Args:
        errors: mean over the five severities, in [0, 1], of each of the 15 corruptions; others do not count.
    """
    return sum(errors[corruption] / reference for corruption, reference in ERRORS.items()) / len(ERRORS)

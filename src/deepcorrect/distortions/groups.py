"""The common corruptions by name: which belong together, and their order in the literature."""

from __future__ import annotations

from collections.abc import Iterable

_NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")
_BLURS = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
_WEATHER = ("snow", "frost", "fog", "brightness")
_DIGITAL = ("contrast", "elastic_transform", "pixelate", "jpeg_compression")
GROUPS: dict[str, tuple[str, ...]] = {
    "imagenet-c": (*_NOISES, *_BLURS, *_WEATHER, *_DIGITAL),
    "imagenet-c-extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
    "noises": _NOISES,
    "blurs": _BLURS,
    "weather": _WEATHER,
    "digital": _DIGITAL,
}
"""Distortions that are asked for together, by the name of the group."""

_POSITIONS = {name: index for index, name in enumerate((*GROUPS["imagenet-c"], *GROUPS["imagenet-c-extra"]))}


_OURS = ("low_light", "white_balance")


def is_graded(name: str) -> bool:
    """Whether its levels are severities as those of the common corruptions, so that accuracies at these can be averaged.

    A common corruption's are, those of two of our own, and the steps of a composition; the levels of blur are pixels.
    """
    return name in _POSITIONS or name in _OURS or "+" in name


def in_order(names: Iterable[str]) -> list[str]:
    """Common corruptions in the order of the literature, then the others as they come."""
    return sorted(names, key=lambda name: _POSITIONS.get(name, len(_POSITIONS)))

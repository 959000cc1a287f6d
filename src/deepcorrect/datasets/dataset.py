"""Training, validation and test images of one task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.showing import Shown, View
from deepcorrect.base.tables import Table
from deepcorrect.base.words import argument, phrase
from deepcorrect.datasets.division import Counts, divide
from deepcorrect.datasets.images import UNLABELLED, Images

PARTS = ("train", "validation", "test")
TESTED_ON = ", tested on "
"""In the name of data, between what is trained on and what is tested on, where these come from different places."""
SMALL = 64
"""Images up to this many pixels wide take the CIFAR ladder, larger ones ImageNet's."""


@dataclass(frozen=True, repr=False)
class Dataset(Shown):
    """Training, validation and test images of one task.

    Attributes:
        name: the spec it was loaded from.
        classes: class names; a label is a position in this list.
        ladder: which severity ladder suits the images.
        train: empty where there are none to train on.
        numbered: whether labels number classes by the data's own order, which says nothing of a network with more outputs.
        self_labelled: the parts whose labels are the network's own answers to the clean images, out of ``PARTS``; what is
            measured on them is agreement with these answers, not accuracy (see ``deepcorrect.pipeline.unlabelled``).
    """

    name: str
    classes: tuple[str, ...]
    ladder: str
    train: Images
    validation: Images
    test: Images
    numbered: bool = field(default=False, kw_only=True)
    self_labelled: tuple[str, ...] = field(default=(), kw_only=True)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(images):,} {part}" for part, images in self._parts().items())
        return f"Dataset({self.name!r}: {self._labels()}, {_size(self.test)}; {parts})"

    def views(self) -> list[View]:
        """What is in each part."""
        rows = [
            (
                part,
                f"{len(images):,}",
                f"{len(set(images.labels.tolist()) - {UNLABELLED}):,} of {len(self.classes):,}",
                _size(images),
            )
            for part, images in self._parts().items()
        ]
        title = f"Data {self.name}: {self._labels()}, severity levels for {self.ladder}"
        return [View(Table(title, ("Part", "Images", "Classes", "Channels x height x width"), rows))]

    def _labels(self) -> str:
        return f"{len(self.classes):,} classes" if self.classes else "without labels"

    def _parts(self) -> dict[str, Images]:
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @classmethod
    def of_parts(
        cls,
        name: str,
        classes: tuple[str, ...],
        parts: Mapping[str, Images],
        counts: Counts | None = None,
        *,
        whole: bool | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> Dataset:
        """As ``divide`` has them, with the ladder that suits their size; ``warn`` is told which classes a part lacks.

        Args:
            whole: whether a source of one part is not divided, unless ``counts`` say how: all of it validates and is tested on,
                and nothing trains. If None, so is a source of too few images to be divided, and ``warn`` is told.

        Raises:
            DeepcorrectError: too few images for one of the three, or without ``whole`` none to train on.
        """
        if whole and len(parts) == 1 and counts is None:
            found = _whole(next(iter(parts.values())))
        else:
            found = divide(parts, counts)
            lacking = next((part for part, images in zip(PARTS, found, strict=True) if not len(images)), None)
            if lacking and whole is None and len(parts) == 1 and counts is None:
                warn(f"{name}: too few images for a {lacking} set; all of them are for measuring, none for training")
                found = _whole(next(iter(parts.values())))
            elif lacking == "train" and len(parts) == 2:
                reason = f"{name}: no training images, only {' and '.join(parts)}"
                if whole is False:
                    raise DeepcorrectError(f"{reason}; add a folder train beside them")
                warn(reason)
            elif lacking:
                remedy = (
                    f"give {'every class ' if classes else ''}ten or more"
                    if counts is None
                    else f"give smaller numbers to {argument('counts', option='split')}"
                )
                raise DeepcorrectError(f"{name}: too few images for a {lacking} set; {remedy}")
        train, validation, test = found
        if whole is False and (untrained := set(test.labels.tolist()) - set(train.labels.tolist())):
            raise DeepcorrectError(f"{name}: no training images of class {classes[min(untrained)]}, only some to test on")
        _tell_missing(name, classes, {"training": train, "validation": validation, "test": test}, warn)
        return cls(name, classes, ladder_of(test.shape[-1]), train, validation, test, numbered=True)

    @property
    def undivided(self) -> bool:
        """Whether all images are for measuring, in one part."""
        return self.validation is self.test and not len(self.train)

    def divided(self) -> Dataset:
        """An undivided source as it is divided to be trained on; parts may be empty."""
        train, validation, test = divide({"all": self.test})
        return replace(self, train=train, validation=validation, test=test)

    def require_training(self) -> None:
        """Refuse to train on nothing, or to choose the best epoch without labels.

        Raises:
            DeepcorrectError: there are no training images, none to validate on, or validation images without labels.
        """
        if not len(self.train) or not len(self.validation):
            raise DeepcorrectError(
                f"{self.name}: no images to train on, all are for measuring; "
                + ("add folders train and val, or give every class ten images or more" if self.classes else "give ten or more")
            )
        self.validation.require_labels("the choice of the best epoch")

    def require_outputs(self, outputs: int) -> None:
        """Refuse a network whose outputs cannot be these classes.

        Raises:
            DeepcorrectError: a label that is no class, fewer outputs than classes, or more where nothing says which are the
                data's.
        """
        count = len(self.classes)
        for part in (self.train, self.validation, self.test):
            if len(part) and not UNLABELLED <= int(part.labels.min()) <= int(part.labels.max()) < count:
                wrong = next(label for label in part.labels.tolist() if not UNLABELLED <= label < count)
                raise DeepcorrectError(f"{self.name}: label {wrong} lies outside its {count} classes")
        if outputs < count:
            raise DeepcorrectError(
                f"{self.name} has {count} classes, the network only {outputs} outputs: label {outputs} "
                f"({self.classes[outputs]}) lies outside; use data of the network's own classes"
            )
        if outputs > count and self.numbered:
            raise DeepcorrectError(
                f"{self.name} has {count} classes, the network {outputs} outputs, and nothing says which of them are "
                f"{', '.join(self.classes[:3])}{', ...' if count > 3 else ''}; name the outputs, in their order, "
                + phrase(python="as load_dataset's outputs", command_line="in a file for --classes")
            )

    def each(self, change: Callable[[Images], Images]) -> Dataset:
        """With something done to every part, once to parts that are the same."""
        parts = (self.train, self.validation, self.test)
        done = {key: change(part) for key, part in {id(part): part for part in parts}.items()}
        train, validation, test = (done[id(part)] for part in parts)
        return replace(self, train=train, validation=validation, test=test)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self.test.shape[1:]

    def fingerprint(self) -> str:
        """SHA-256 over classes, images, labels and their split."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train, self.validation, self.test):
            digest.update(part.signature())
            for tensor in (part.labels, part.indices):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def ladder_of(width: int) -> str:
    """Which severity ladder suits images so many pixels wide."""
    return "cifar" if width <= SMALL else "imagenet"


def _size(images: Images) -> str:
    return " x ".join(map(str, images.shape[1:]))


def _whole(source: Images) -> tuple[Images, Images, Images]:
    return source.take(torch.arange(0)), source, source


def _tell_missing(name: str, classes: Sequence[str], parts: Mapping[str, Images], warn: Callable[[str], None]) -> None:
    """Say which classes have no images in a part that has some."""
    for part, images in {id(images): (part, images) for part, images in parts.items() if len(images)}.values():
        sizes = torch.bincount(images.labels.cpu() - UNLABELLED, minlength=len(classes) + 1)[1:]
        missing = [classes[label] for label in (sizes == 0).nonzero()[:, 0].tolist()]
        if missing:
            named = f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}"
            warn(f"{name}: no {part} images of {len(missing)} of the {len(classes)} classes ({named})")

"""ImageNet-C's folders: ``corruption/severity/class/file``, with the classes and files of the test images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcorrect.base.device import usable_cores
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.base.words import argument
from deepcorrect.datasets.decoding import decode
from deepcorrect.datasets.images import Images
from deepcorrect.datasets.parts import sub_folders
from deepcorrect.distortions.groups import in_order
from deepcorrect.distortions.published import SEVERITIES, Published


class ImageNetC(Published):
    """One corruption in the layout of ImageNet-C, whose images are cropped already: what the network sees is of their size.

    An image belongs to the test image of the same file name in the class folder of the same name.
    """

    layout = "imagenet-c"
    _files: dict[int, tuple[str, ...]]
    _size: tuple[int, int]

    @classmethod
    def found_in(cls, place: Path) -> list[Published]:
        """All corruptions of a folder, or of the folders in it (``blur``, ``noise`` ...); or the one whose folder it is.

        Raises:
            DeepcorrectError: there are none.
        """
        if not place.is_dir():
            raise DeepcorrectError(f"{place}: no such folder")
        if _severities(place):
            return [cls(place.name, place)]
        children = [place / name for name in sub_folders(place)]
        folders = [
            each
            for child in children
            for each in ([child] if _severities(child) else [child / name for name in sub_folders(child)])
        ]
        found = {folder.name: folder for folder in folders if _severities(folder)}
        if not found:
            raise DeepcorrectError(f"{place}: no folders corruption/severity/class there, such as fog/1/n01440764")
        return [cls(name, found[name]) for name in in_order(found)]

    def _match(self, images: Images, severities: Sequence[int], seen: tuple[int, int]) -> None:
        names = images.file_names()
        if names is None:
            raise DeepcorrectError(
                f"{self.name}: its files are found by the names of the test images; give these as folder:DIR"
            )
        files = [Path(os.fsdecode(name)).parts[-2:] for name in names.tolist()]
        for severity in severities:
            for label in dict.fromkeys(label for label, _ in files):
                if not (self.path / str(severity) / label).is_dir():
                    raise DeepcorrectError(
                        f"{readable(str(self.path / str(severity) / label))}: no such folder; unpack it there"
                    )
        if repeated := next((file for file, count in Counter(files).items() if count > 1), None):
            raise DeepcorrectError(f"{self.name}: {readable(os.path.join(*repeated))} is the file of two test images")
        object.__setattr__(self, "_files", dict(zip(images.indices.tolist(), files, strict=True)))
        object.__setattr__(self, "_size", seen)
        if severities:
            self._decode(severities[0], int(images.indices[0]), grey=images.shape[1] == 1)

    def _read(self, severity: int, indices: Tensor, *, grey: bool) -> Tensor:
        with ThreadPoolExecutor(usable_cores()) as pool:
            decoded = list(pool.map(partial(self._decode, severity, grey=grey), indices.tolist()))
        return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)

    def _decode(self, severity: int, index: int, *, grey: bool) -> np.ndarray:
        """One image, (H, W, C) uint8, of the size that the network sees.

        Raises:
            DeepcorrectError: it is missing, cannot be decoded, or has another size.
        """
        path = self.path.joinpath(str(severity), *self._files[index])
        name = readable(str(path))
        if not path.is_file():
            raise DeepcorrectError(f"{name}: no such file")
        pixels = decode(name, partial(Image.open, path), None, grey)
        if pixels.shape[:2] != self._size:
            (height, width), (high, wide) = pixels.shape[:2], self._size
            raise DeepcorrectError(
                f"{name}: {width}x{height} pixels, but the network sees {wide}x{high} pixels of a test image; published images "
                f"are cropped already: give a network that takes their size, or {argument('resize', option='size')}"
            )
        return pixels


def _severities(folder: Path) -> bool:
    """Whether it has a folder for a severity or more."""
    return any((folder / str(severity)).is_dir() for severity in SEVERITIES)

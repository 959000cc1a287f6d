"""CIFAR-10-C and CIFAR-100-C: ``NAME.npy`` has all test images at severity 1, then at 2, up to 5; ``labels.npy`` has labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.groups import in_order
from deepcorrect.distortions.published import SEVERITIES, Published

LABELS = "labels"


class CifarC(Published):
    """One corruption in the layout of CIFAR-10-C and CIFAR-100-C.

    Image i of the test data at severity s is row (s - 1) N + i of the (5 N, H, W, 3) uint8 array, which is read row by row.

    Raises:
        DeepcorrectError: the file is missing, truncated, or holds something else; arrays of objects are never unpickled.
    """

    layout = "cifar-c"

    def __init__(self, corruption: str, path: Path) -> None:
        super().__init__(corruption, path)
        self._images()

    @classmethod
    def found_in(cls, place: Path) -> list[Published]:
        """All corruptions of a folder, or the one that is named like a file in it, without the suffix.

        Raises:
            DeepcorrectError: there are none.
        """
        if place.is_dir():
            names = in_order(sorted(path.stem for path in place.glob("*.npy") if path.stem != LABELS))
            if not names:
                raise DeepcorrectError(f"{place}: no .npy file of a corruption there, such as fog.npy")
            return [cls(name, place / f"{name}.npy") for name in names]
        path = place if place.suffix == ".npy" else place.with_name(f"{place.name}.npy")
        if not path.is_file():
            raise DeepcorrectError(f"{path}: no such file, and {place} is no folder; give the folder of the .npy files")
        return [cls(path.stem, path)]

    def _match(self, images: Images, severities: Sequence[int], seen: tuple[int, int]) -> None:
        stored = self._images()
        own_size, size = (stored.shape[3], *stored.shape[1:3]), images.shape[1:]
        if own_size != size:
            own_said, said = ("x".join(map(str, each)) for each in (own_size, size))
            raise DeepcorrectError(f"{self.path}: images of {own_said} values, the test images have {said}; {_REMEDY}")
        path = self.path.with_name(f"{LABELS}.npy")
        labels = self._labels(path, len(stored))
        outside = images.indices.cpu() >= len(labels)
        if bool(outside.any()):
            raise DeepcorrectError(f"{path}: labels of {len(labels):,} images, the test data has more; {_REMEDY}")
        own, given = torch.from_numpy(labels)[images.indices.cpu()], images.labels.cpu()
        if not torch.equal(own, given):
            first = int((own != given).nonzero()[0, 0])
            raise DeepcorrectError(
                f"{path}: label {int(own[first])} for image {int(images.indices[first])}, which has label {int(given[first])} "
                f"in the test data; {_REMEDY}"
            )

    def _labels(self, path: Path, rows: int) -> np.ndarray:
        """(N,) int64, of the rows of one severity."""
        labels = read_array(path)
        if (
            labels.ndim != 1
            or labels.dtype.kind not in "ui"
            or len(labels) * len(SEVERITIES) not in (rows, rows * len(SEVERITIES))
        ):
            raise DeepcorrectError(
                f"{self.path}: {rows:,} images, but {path.name} has {_described(labels)}: it needs five severities of every "
                "labelled image; download both again"
            )
        severities: np.ndarray = labels.astype(np.int64).reshape(-1, rows // len(SEVERITIES))
        if (severities != severities[0]).any():
            raise DeepcorrectError(f"{path}: other labels at one severity than at another; download it again")
        own: np.ndarray = severities[0]
        return own

    def _images(self) -> np.ndarray:
        """(5 N, H, W, 3) uint8, on disk until rows are read."""
        stored = read_array(self.path)
        if stored.dtype != np.uint8 or stored.ndim != 4 or stored.shape[3] != 3 or not len(stored):
            raise DeepcorrectError(f"{self.path}: {_described(stored)}, not (images, height, width, 3) of uint8")
        if len(stored) % len(SEVERITIES):
            raise DeepcorrectError(f"{self.path}: {len(stored):,} images are not five severities of as many; download it again")
        return stored

    def _read(self, severity: int, indices: Tensor, *, grey: bool) -> Tensor:
        stored = self._images()
        rows = stored[(severity - 1) * (len(stored) // len(SEVERITIES)) + indices.numpy()]
        return torch.from_numpy(rows).permute(0, 3, 1, 2)


_REMEDY = "measure on the test images that the files were made of, in their order"


def read_array(path: Path) -> np.ndarray:
    """An array of an ``.npy`` file, on disk until it is used.

    Raises:
        DeepcorrectError: it is missing, truncated, no such file, or of objects, which would have to be unpickled.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DeepcorrectError(f"{path}: no such file") from None
    except Exception as error:  # a damaged header raises what its parts are parsed with
        unpickled = any(word in str(error) for word in ("Python objects", "Object arrays", "pickle"))
        reason = "it holds Python objects" if unpickled else "truncated or no .npy file"
        raise DeepcorrectError(f"{path}: not a sound array ({reason}); download it again") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DeepcorrectError(f"{path}: several arrays, not one; unpack the .npz file")
    return array


def _described(array: np.ndarray) -> str:
    return f"{array.shape} of {array.dtype}"

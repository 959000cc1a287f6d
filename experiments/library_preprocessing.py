"""Compares deepcorrect's preprocessing with the library's own, for every pretrained network of torchvision and timm.

``python -m experiments.library_preprocessing`` decodes and crops one photograph as ``deepcorrect`` does, and by the
library's own transform. No weights are fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.decoding import decode
from deepcorrect.models import find_preprocessing
from deepcorrect.models.preprocessing import Prepared

Transform = Callable[[Image.Image], Tensor]


def networks() -> Iterator[tuple[str, Transform]]:
    """Each network's spec and its library's transform."""
    timm, models = import_module("timm"), import_module("torchvision.models")
    for name in models.list_models(module=models):
        yield f"torchvision:{name}", models.get_model_weights(name).DEFAULT.transforms()
    for name in timm.list_models(pretrained=True):
        settings = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
        yield f"timm:{name}", timm.data.create_transform(**settings, is_training=False)


def judge(spec: str, transform: Transform, file: Path) -> str:
    """``equal``, ``different``, or ``refused``."""
    try:
        expected = find_preprocessing(spec)
    except DeepcorrectError:
        return "refused"
    assert expected is not None
    pixels = torch.tensor(decode(spec, partial(Image.open, file), expected.resize, grey=False))
    ours = Prepared(nn.Identity(), expected).prepare(as_float(pixels.permute(2, 0, 1)[None]))
    theirs = transform(Image.open(file).convert("RGB"))[None]
    return "equal" if ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-5) else "different"


def main() -> None:
    """Print how many networks of each library are equal, different or refused."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        pixels = np.random.RandomState(0).randint(0, 256, (90, 130, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((520, 361)).save(file)
        verdicts = Counter((spec.partition(":")[0], judge(spec, transform, file)) for spec, transform in networks())
    for (library, verdict), count in sorted(verdicts.items()):
        print(f"{library}: {count:,} {verdict}")


if __name__ == "__main__":
    main()

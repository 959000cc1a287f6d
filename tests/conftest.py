"""Toy networks, small data, and the real CIFAR-100 where it is there."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.models.smallcnn import SmallCNN

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]


def _let_torchvision_import() -> None:
    """Its wheels are built for CUDA: beside a CPU build of torch they lack two operators, of detectors' use alone."""
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            _LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        import_module("torchvision")


_let_torchvision_import()
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the hub, and it is asked again and again before it is given up

LONG = ("docs", "parallel", "cli", "streaming", "report", "experiments", "library_networks", "cli_help", "page", "app")
"""Test files that take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files begin first, so that no process is left alone with one at the end."""
    files = {f"test_{name}": index for index, name in enumerate(LONG)}
    items.sort(key=lambda item: files.get(item.path.stem, len(files)))


class Residual(nn.Module):
    """A skip connection around two convolutions, the first of them normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        held = torch.relu(self.stem(images))
        held = held + self.conv2(torch.relu(self.bn1(self.conv1(held))))
        logits: Tensor = self.head(torch.relu(held).mean((2, 3)))
        return logits


class InPlaceResidual(Residual):
    """The same skip connection, added in place between modules that pass one tensor on."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        held = self.stem(images)
        skip = held.clone()
        held = self.conv2(self.relu(self.bn1(self.conv1(held))))
        held += skip
        logits: Tensor = self.head(self.flatten(self.pool(held)))
        return logits


class Twice(nn.Module):
    """One convolution that runs two times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.shared = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        held = torch.relu(self.shared(torch.relu(self.shared(self.stem(images)))))
        logits: Tensor = self.head(held.mean((2, 3)))
        return logits


def plain(*, inplace: bool = False, norm: bool = False, groups: int = 1) -> nn.Module:
    """Three convolutions in a chain."""
    layers: list[nn.Module] = []
    incoming = 3
    for place, channels in enumerate((8, 12, 8)):
        layers.append(nn.Conv2d(incoming, channels, 3, padding=1, groups=1 if place == 0 else groups))
        layers += [nn.BatchNorm2d(channels)] if norm else []
        layers.append(nn.ReLU(inplace=inplace))
        incoming = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))


TOYS: dict[str, Callable[[], nn.Module]] = {
    "plain": plain,
    "batch-norm": lambda: plain(norm=True, inplace=True),
    "in-place": lambda: plain(inplace=True),
    "grouped": lambda: plain(norm=True, groups=4),
    "depthwise": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(True),
        nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ),
    "residual": Residual,
    "in-place residual": InPlaceResidual,
    "in-place behind a view": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LeakyReLU(0.1, inplace=True), nn.Linear(8, 5)
    ),
    "twice": Twice,
    "twice in a chain": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 1), *[nn.Conv2d(6, 6, 3, padding=1)] * 2, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)
    ),
}  # fmt: skip


def make_toy(name: str, seed: int = 0) -> nn.Module:
    """A toy network in eval mode whose batch normalisations have seen some images."""
    torch.manual_seed(seed)
    network = TOYS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(16, 3, 8, 8))
    return network.eval()


@pytest.fixture(params=sorted(TOYS))
def toy(request: pytest.FixtureRequest) -> nn.Module:
    """Every toy network in turn."""
    return make_toy(request.param)


def random_images(count: int, classes: int = 5, size: int = 8, seed: int = 0) -> ImageSet:
    """Random coloured blocks, two a side, with random labels."""
    stream = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=stream)
    images = blocks.repeat_interleave(size // 2, 2).repeat_interleave(size // 2, 3)
    return ImageSet.whole(images, torch.randint(0, classes, (count,), generator=stream))


@torch.no_grad()
def labelled_by(network: nn.Module, images: ImageSet) -> ImageSet:
    """The images with labels that a (balanced) network gives them: its clean accuracy is 1, and distortion costs some."""
    head = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)][-1]
    assert head.bias is not None
    head.bias -= network(as_float(images.images)).mean(0)
    return ImageSet.whole(images.images, network(as_float(images.images)).argmax(1))


@pytest.fixture
def images() -> ImageSet:
    """Forty random images of five classes."""
    return random_images(40)


@pytest.fixture
def dataset() -> Dataset:
    """Random data for five classes."""
    parts = [random_images(count, seed=count) for count in (60, 30, 30)]
    return Dataset("random", tuple("abcde"), "cifar", *parts)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The bundled digits."""
    from deepcorrect.datasets.digits import read_digits

    return read_digits()


@pytest.fixture
def small() -> nn.Module:
    """An untrained network for the digits."""
    torch.manual_seed(0)
    return SmallCNN().eval()


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a baseline trained on the digits for a few seconds, once for all processes of pytest-xdist."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "baseline"
    options = "--data digits --epochs 8 --batch-size 64 --device cpu --precision fp32"
    command = [sys.executable, "-m", "deepcorrect.cli", "train-baseline", "smallcnn", *options.split(), "--out", str(folder)]
    with (shared / "baseline.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report.html").exists():
            subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data; the test is skipped where it is not there."""
    root = Path(os.environ.get("DEEPCORRECT_DATA", "data"))
    if not (root / "cifar-100-python" / "test").is_file():
        pytest.skip(f"no CIFAR-100 under {root} (set DEEPCORRECT_DATA to the folder that holds cifar-100-python)")
    return root


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these small runs, and has tests of its own."""
    monkeypatch.setattr("deepcorrect.cli.keeping.build_report", lambda folders, page: page.touch())


@pytest.fixture
def axes() -> Axes:
    """The only axes of a figure."""
    return Figure(layout="constrained").subplots()

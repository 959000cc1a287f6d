"""Two tasks that are no classification, and networks for them: another seam than the package's own would not take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.tasks.base import Measured, Task
from tests.conftest import random_images


class Regression(Task):
    """Numbers of an image: labels (N, 2) float, outputs (B, 2), called ``values`` in what the network returns."""

    name = "regression"
    metrics: ClassVar[tuple[str, ...]] = ("negative_error",)
    scores = ("negative_error", "difference")

    def outputs(self, answer: object) -> Tensor:
        assert isinstance(answer, Mapping)
        values: Tensor = answer["values"]
        return values

    def check_labels(self, labels: Tensor, outputs: Tensor | None = None) -> None:
        assert labels.is_floating_point()

    def loss(self, outputs: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        return (outputs - labels).square().mean()

    def divergence(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        return self.loss(outputs, wanted)

    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([-(outputs - labels).abs().sum(1), outputs[:, 0] - outputs[:, 1]])

    def observe(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels).abs()

    def measure(self, observed: Tensor, labels: Tensor, classes: int) -> Measured:
        return Measured({"negative_error": -observed.mean().item()})

    def caption(self, outputs: Tensor, labels: Tensor, classes: Sequence[str]) -> list[dict[str, object]]:
        return [{"label": f"{row[0]:.2f}", "right": True, "confidence": 1.0} for row in outputs.tolist()]


class Segmentation(Regression):
    """A class for each pixel: labels (N, H, W) int64, outputs (B, classes, H, W), called ``out`` as torchvision does."""

    name = "segmentation"
    metrics = ("mean_iou", "pixel_accuracy")
    scores = ("pixel_accuracy", "log_likelihood")
    not_differentiable = ("pixel_accuracy",)

    def outputs(self, answer: object) -> Tensor:
        assert isinstance(answer, Mapping)
        out: Tensor = answer["out"]
        return out

    def check_labels(self, labels: Tensor, outputs: Tensor | None = None) -> None:
        assert labels.ndim == 3

    def loss(self, outputs: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        return nn.functional.cross_entropy(outputs, labels, label_smoothing=label_smoothing)

    def divergence(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        return nn.functional.kl_div(outputs.log_softmax(1), wanted.softmax(1))

    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        likelihood = outputs.log_softmax(1).gather(1, labels[:, None]).mean((1, 2, 3))
        return torch.stack([(outputs.argmax(1) == labels).float().mean((1, 2)), likelihood])

    def observe(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Pixels of each class: predicted and labelled so, and either of the two, (B, 2 classes)."""
        both = [((outputs.argmax(1) == one) & (labels == one)).sum((1, 2)) for one in range(outputs.shape[1])]
        either = [((outputs.argmax(1) == one) | (labels == one)).sum((1, 2)) for one in range(outputs.shape[1])]
        return torch.stack([*both, *either], 1)

    def measure(self, observed: Tensor, labels: Tensor, classes: int) -> Measured:
        both, either = observed.sum(0).double().chunk(2)
        share = both.sum().item() / labels.numel()
        return Measured({"mean_iou": (both / either).mean().item(), "pixel_accuracy": share}, tuple((both / either).tolist()))


class Sized(nn.Module):
    """Two numbers an image, in a mapping; linear in what its second convolution gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"values": self.head(self.second(torch.relu(self.first(images))).mean((2, 3)))}


class Dense(nn.Module):
    """Two classes a pixel, in a mapping; a second output is of no use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        held = torch.relu(self.second(torch.relu(self.first(images))))
        return {"out": self.head(held), "aux": held}


@dataclass(frozen=True)
class Toy:
    """A task with a network of its own, in eval mode, and data."""

    task: Task
    network: nn.Module
    data: Dataset

    @property
    def images(self) -> ImageSet:
        return self.data.test.held()


def make(task: Task) -> Toy:
    """Labels are told by the pixels: the mean red and green of an image, or where its blue is above the middle."""
    torch.manual_seed(3)
    network: nn.Module = (Dense() if isinstance(task, Segmentation) else Sized()).eval()
    if isinstance(network, Dense):
        with torch.no_grad():  # balanced, so that both classes are predicted
            assert network.head.bias is not None
            network.head.bias -= network(as_float(random_images(30, seed=30).images))["out"].mean((0, 2, 3))
    parts = []
    for count in (40, 20, 30):
        images = random_images(count, seed=count)
        pixels = as_float(images.images)
        labels = (pixels[:, 2] > 0.5).long() if isinstance(task, Segmentation) else pixels[:, :2].mean((2, 3))
        parts.append(ImageSet.whole(images.images, labels))
    return Toy(task, network, Dataset("toy", ("low", "high"), "cifar", *parts))

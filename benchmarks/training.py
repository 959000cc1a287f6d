"""Training speed on CIFAR-sized images: ``python -m benchmarks.training [--steps N] [--json]``.

Three networks are trained in turn by deepcorrect's own loop: the baseline, Deepcorr-3 as deepcorrect builds it, and
Deepcorr-3 written straightforwardly (``NaiveCorrection`` below). All use batches of 250, bf16,
channels last and SGD, without a teacher.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.units import CorrectionUnit, unit_shape
from deepcorrect.base.device import describe_machine, keep_memory
from deepcorrect.base.progress import Silent
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.paper.allcnn import AllCNN
from deepcorrect.training.batches import TrainingBatches
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import Regime, get_recipe

CPU = torch.device("cpu")
BATCH = 250
FILTERS = {f"conv{layer}": (1, 3, *range(0, 96, 2)) for layer in (1, 2, 3)}
DISTORTION = get_distortion("blur")

Trained = tuple[nn.Module, nn.Module, Sequence[Tensor]]


class NaiveCorrection(nn.Module):
    """A convolution whose chosen outputs are gathered, corrected and scattered back."""

    def __init__(self, base: nn.Conv2d, filters: tuple[int, ...]) -> None:
        super().__init__()
        self.base = base
        self.filters = torch.tensor(filters)
        self.unit = CorrectionUnit(len(filters), unit_shape("cifar", len(filters), 1))

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.base(images)
        outputs = outputs.clone()
        outputs[:, self.filters] = self.unit(outputs[:, self.filters])
        return outputs


def naive() -> Trained:
    """Deepcorr-3 with the convolutions of the base network frozen and all its batch normalisations trained."""
    network = AllCNN()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.requires_grad_(False)
    for name, filters in FILTERS.items():
        base = network.get_submodule(name)
        assert isinstance(base, nn.Conv2d)
        setattr(network, name, NaiveCorrection(base, filters))
    weights = [weight for module in network.modules() if isinstance(module, CorrectionUnit) for weight in module.weights]
    return network, network, weights


def corrected() -> Trained:
    """Deepcorr-3."""
    network = AllCNN()
    correction = attach(network, Plan(distortion="blur", filters=FILTERS), torch.rand(2, 3, 32, 32))
    return network, correction, correction.penalized


def baseline() -> Trained:
    """The whole network."""
    network = AllCNN()
    return network, network, ()


class Clock(Silent):
    """The time after every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def advance(self, steps: int) -> None:
        self.times.append(time.perf_counter())


def random_images(count: int) -> ImageSet:
    """Noise with random labels."""
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    return ImageSet.whole(images, torch.randint(0, 100, (count,)))


def measure(make: Callable[[], Trained], regime: Regime, steps: int) -> tuple[float, float]:
    """Images per second (median step), and the share of a step taken by augmentation and distortion."""
    torch.manual_seed(0)
    recipe = get_recipe("fast", regime, epochs=1, batch_size=BATCH, optimizer="sgd", distill=0.0, match=0.0)
    data = Dataset("noise", tuple(map(str, range(100))), "cifar", random_images(BATCH * steps), *[random_images(BATCH)] * 2)
    levels = DISTORTION.levels("cifar")
    network, trained, penalized = make()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clock = Clock()
    train(network, trained, data, recipe, distortion=DISTORTION, levels=levels, penalized=penalized, reporter=clock)
    step = statistics.median(later - earlier for earlier, later in itertools.pairwise(clock.times[2:]))
    source = TrainingBatches(data.train, recipe, distortion=DISTORTION, levels=levels, seed=0, device=CPU)
    preparing = [time.perf_counter() for _ in source.epoch(0)]
    batch = statistics.median(later - earlier for earlier, later in itertools.pairwise(preparing))
    return recipe.batch_size / step, batch / step


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    keep_memory()
    figures: dict[str, object] = {"machine": describe_machine(CPU), "torch": torch.__version__, "steps": options.steps}
    networks: dict[str, tuple[Callable[[], Trained], Regime]] = {
        "baseline": (baseline, "baseline"),
        "deepcorr-3": (corrected, "correct"),
        "deepcorr-3, naive": (naive, "correct"),
    }
    for name, (make, regime) in networks.items():
        rate, share = measure(make, regime, options.steps)
        figures[name] = {"images_per_second": round(rate, 1), "augmentation_and_distortion": round(share, 4)}
        if not options.json:
            print(f"{name:20} {rate:7.1f} images/s, augmentation and distortion {100 * share:.1f} % of a step", flush=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

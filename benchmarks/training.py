"""Training speed on CIFAR-sized images: ``python -m benchmarks.training [--steps N] [--json]``.

Three networks are trained for some steps each, in turn: the baseline, Deepcorr-3 as deepcorrect builds it, and Deepcorr-3 as
one would first write it (``NaiveCorrection`` below). All use the ``fast`` recipes: batches of 250, bf16, channels last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcorrect.correction import Plan, attach
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions import get_distortion
from deepcorrect.loading import TrainingBatches
from deepcorrect.models.allcnn import AllCNN
from deepcorrect.recipes import Recipe, get_recipe
from deepcorrect.runtime import autocast, describe_machine, keep_memory
from deepcorrect.units import CorrectionUnit, unit_shape

CPU = torch.device("cpu")
FILTERS = {f"conv{layer}": (1, 3, *range(0, 96, 2)) for layer in (1, 2, 3)}
DISTORTION = get_distortion("blur")


class NaiveCorrection(nn.Module):
    """A convolution whose chosen outputs are gathered, corrected and scattered back, and its whole normalisation trained."""

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


def naive() -> tuple[nn.Module, list[nn.Parameter]]:
    """Deepcorr-3 with everything trainable but the convolutions of the base network."""
    network = AllCNN()
    for name, filters in FILTERS.items():
        setattr(network, name, NaiveCorrection(network.get_submodule(name), filters))  # type: ignore[arg-type]
    network.train()
    return network, list(network.parameters())


def corrected() -> tuple[nn.Module, list[nn.Parameter]]:
    """Deepcorr-3."""
    network = AllCNN()
    correction = attach(network, Plan(distortion="blur", filters=FILTERS), torch.rand(2, 3, 32, 32)).train()
    return network, list(correction.parameters())


def baseline() -> tuple[nn.Module, list[nn.Parameter]]:
    """The whole network."""
    network = AllCNN().train()
    return network, list(network.parameters())


def timed_steps(network: nn.Module, parameters: list[nn.Parameter], recipe: Recipe, steps: int) -> tuple[float, float]:
    """Images a second (median step) and the share of a step that augmentation and distortion take."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    count = recipe.batch_size * (steps + 2)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    source = TrainingBatches(
        ImageSet.whole(images, torch.randint(0, 100, (count,))), recipe,
        distortion=DISTORTION, levels=DISTORTION.levels("cifar"), seed=0, device=CPU,
    )  # fmt: skip
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True)
    preparing, whole = [], []
    for seconds, (batch, labels) in watched(source.epoch(0)):
        started = time.perf_counter()
        with autocast(CPU, recipe.precision):
            logits = network(batch)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        preparing.append(seconds)
        whole.append(seconds + time.perf_counter() - started)
    step = statistics.median(whole[2:])
    return recipe.batch_size / step, statistics.median(preparing[2:]) / step


def watched(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[float, tuple[Tensor, Tensor]]]:
    """Each batch with the seconds that it took to come."""
    iterator = iter(batches)
    while True:
        started = time.perf_counter()
        try:
            batch = next(iterator)
        except StopIteration:
            return
        yield time.perf_counter() - started, batch


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_memory()
    figures: dict[str, object] = {"machine": describe_machine(), "torch": torch.__version__, "steps": options.steps}
    for name, make, task in (
        ("baseline", baseline, "baseline"),
        ("deepcorr-3", corrected, "correct"),
        ("deepcorr-3, naive", naive, "correct"),
    ):
        torch.manual_seed(0)
        rate, share = timed_steps(*make(), get_recipe("fast", task), options.steps)  # type: ignore[arg-type]
        figures[name] = {"images_per_second": round(rate, 1), "augmentation_and_distortion": round(share, 4)}
        if not options.json:
            print(f"{name:20} {rate:7.1f} images/s, augmentation and distortion {100 * share:.1f} % of a step", flush=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

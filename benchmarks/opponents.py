"""Ranking filters without deepcorrect, timed: ``python -m benchmarks.opponents OPTIONS`` prints JSON.

This runs in a process of its own, because the settings of the memory allocator hold for a whole process. The opponents use
torch's default memory layout and the default allocator, unless they are ``--tuned``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from deepcorrect.base.device import autocast, keep_memory
from deepcorrect.models import load_model

LAYERS = tuple(f"conv{number}" for number in range(1, 7))
CPU = torch.device("cpu")


def hooked(network: nn.Module, layer: nn.Module, images: Tensor, clean: Tensor, filter_: int) -> Tensor:
    """A hook that swaps one channel, and a whole forward pass."""

    def swap(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, filter_] = clean[:, filter_]
        return output

    handle = layer.register_forward_hook(swap)
    answer: Tensor = network(images).argmax(1)
    handle.remove()
    return answer


def tail(modules: list[nn.Module], distorted: Tensor, clean: Tensor, filter_: int) -> Tensor:
    """The layer's output with one channel swapped, and only the modules after it."""
    values = distorted.clone()
    values[:, filter_] = clean[:, filter_]
    for module in modules:
        values = module(values)
    return values.argmax(1)


def median_seconds(step: Callable[[int], object], filters: int) -> float:
    """Median time for one filter, after one to warm up."""
    step(0)
    took = []
    for filter_ in range(filters):
        started = time.perf_counter()
        step(filter_)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def output_of(layer: nn.Module, run: Callable[[], object]) -> Tensor:
    """A layer's output during a pass."""
    outputs: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, args, output: outputs.append(output.clone()))
    run()
    handle.remove()
    return outputs[0]


@torch.inference_mode()
def main() -> None:
    """Print the seconds for one filter of each layer on all images, by both methods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--filters", type=int, default=3, help="of each layer")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--tuned", action="store_true", help="channels last, and freed memory kept")
    options = parser.parse_args()
    network = load_model("allcnn-cifar100").eval()
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, 32, 32, generator=stream)
    distorted = (images + 0.1 * torch.randn(images.shape, generator=stream)).clamp(0, 1)
    if options.tuned:
        keep_memory()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images, distorted = (values.contiguous(memory_format=torch.channels_last) for values in (images, distorted))
    modules = list(network.children())
    names = [name for name, _ in network.named_children()]
    seconds: dict[str, dict[str, float]] = {"hooks": {}, "tail": {}}
    with autocast(CPU, options.precision):
        for name in LAYERS:
            layer = network.get_submodule(name)
            clean, held = (output_of(layer, partial(network, given)) for given in (images, distorted))
            after = modules[names.index(name) + 1 :]
            assert torch.equal(tail(after, held, clean, 0), hooked(network, layer, distorted, clean, 0)), name
            seconds["hooks"][name] = median_seconds(partial(hooked, network, layer, distorted, clean), options.filters)
            seconds["tail"][name] = median_seconds(partial(tail, after, held, clean), options.filters)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()

"""Ranking speed on the CIFAR-100 network: ``python -m benchmarks.ranking [--quick] [--json]``.

Four figures from one run on one machine in one precision, for ranking the 864 filters of the first six layers at one level:

- ``speedup_over_hooks``: over a hook and a whole forward pass for each filter, the straightforward way;
- ``speedup_over_tail``: over running only the modules after the layer for each filter, also written straightforwardly;
- ``gemm_fraction``: arithmetic per second of the exact engine's convolutions, as a share of that of a large matrix product;
- ``attribution_speedup``: the estimate from gradients against the exact engine.

Some filters of each layer are timed and the rest extrapolated in the same way for all. The opponents (``benchmarks.opponents``)
run in a process of their own: with torch's default memory layout and the default allocator, and, for the figures called
``tuned``, with channels last and deepcorrect's allocator settings.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from benchmarks.opponents import LAYERS
from deepcorrect.base.device import describe_machine, keep_memory, resolve_precision
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models import load_model
from deepcorrect.models.layers import Layer, find_layers, named
from deepcorrect.ranking.attribution import attribute_filters
from deepcorrect.ranking.gains import GainMeter

CPU = torch.device("cpu")
LEVEL = 15.0


def exact_seconds(meter: GainMeter, layer: Layer, filters: int) -> float:
    """Time for all filters of a layer: the preparation once, and for each filter the mean time of the first ``filters``."""
    seconds = []
    for some in (0, filters):
        started = time.perf_counter()
        meter.measure(layer, LEVEL, filters=range(some))
        seconds.append(time.perf_counter() - started)
    return seconds[0] + (seconds[1] - seconds[0]) * layer.filters / filters


def attribution_seconds(meter: GainMeter, layers: list[Layer], times: int = 3) -> float:
    """Median time for all filters of all layers."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        attribute_filters(meter, (LEVEL,), layers=layers)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def opponents(images: int, filters: int, precision: str, *options: str) -> dict[str, dict[str, float]]:
    """Seconds per filter, by method and layer."""
    command = [sys.executable, "-m", "benchmarks.opponents", "--images", str(images), "--filters", str(filters)]
    command += ["--precision", precision, *options]
    seconds: dict[str, dict[str, float]] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return seconds


def matrix_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """Multiply-accumulates per second of a matrix product, median of nine."""
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    left @ right
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - started)
    return size**3 / statistics.median(seconds)


def work_a_filter(network: nn.Module) -> dict[str, float]:
    """Multiply-accumulates of the exact engine for a filter and an image: one channel of the next layer, then all the rest."""
    work: dict[str, float] = {}
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    handles = [
        layer.register_forward_hook(
            lambda module, args, output, name=f"conv{number}": work.update({name: module.weight.numel() * output[0, 0].numel()})
        )
        for number, layer in enumerate(convolutions, 1)
    ]
    with torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    for handle in handles:
        handle.remove()
    costs = list(work.values())
    return {
        name: costs[index + 1] / convolutions[index + 1].in_channels + sum(costs[index + 2 :])
        for index, name in enumerate(LAYERS)
    }


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer filters")
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--filters", type=int, help="of each layer; default: all; quick: 8")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    keep_memory()
    precision = resolve_precision(options.precision, CPU)
    count = options.images
    network = load_model("allcnn-cifar100").eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stream = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=stream)
    images = ImageSet.whole(pictures, torch.randint(0, 100, (count,), generator=stream))
    convolutions = find_layers(network, as_float(pictures[:1]))
    layers = [named(convolutions, name) for name in LAYERS]
    meter = GainMeter(network, images, get_distortion("noise"), precision=precision)
    started = time.perf_counter()
    assert meter.graph is not None
    captured = time.perf_counter() - started
    meter.measure(layers[-1], LEVEL, filters=range(2))
    asked = {layer.name: min(layer.filters, options.filters or (8 if options.quick else layer.filters)) for layer in layers}
    exact = {layer.name: exact_seconds(meter, layer, asked[layer.name]) for layer in layers}
    estimate = attribution_seconds(meter, layers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    work = work_a_filter(network)
    done = sum(work[layer.name] * layer.filters * count for layer in layers)
    rate = matrix_rate(torch.bfloat16 if precision == "bf16" else torch.float32)
    timed = 2 if options.quick else 5

    def seconds_of(way: str, seconds: dict[str, dict[str, float]]) -> float:
        return sum(seconds[way][layer.name] * layer.filters for layer in layers)

    plain = opponents(count, timed, precision)
    tuned = opponents(count, timed, precision, "--tuned")
    total = sum(exact.values())
    figures = {
        "machine": describe_machine(CPU),
        "torch": torch.__version__,
        "precision": precision,
        "images": count,
        "filters_timed": asked,
        "capture_seconds": round(captured, 2),
        "exact_seconds": round(total, 2),
        "exact_pairs_per_second": {layer.name: round(layer.filters * count / exact[layer.name]) for layer in layers},
        "attribution_seconds": round(estimate, 3),
        "hooks_seconds": round(seconds_of("hooks", plain), 1),
        "tail_seconds": round(seconds_of("tail", plain), 1),
        "peak_memory_gb": round(peak, 2),
        "speedup_over_hooks": round(seconds_of("hooks", plain) / total, 2),
        "speedup_over_tail": round(seconds_of("tail", plain) / total, 2),
        "speedup_over_hooks_tuned": round(seconds_of("hooks", tuned) / total, 2),
        "speedup_over_tail_tuned": round(seconds_of("tail", tuned) / total, 2),
        "gemm_fraction": round(done / total / rate, 3),
        "attribution_speedup": round(total / estimate, 1),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()

"""Speed and memory of exact ranking on the CIFAR-100 network: ``python -m benchmarks.ranking`` (``--help`` for its options).

The opponent is what a PyTorch user would write: a hook that swaps one channel, and the whole network for every filter. It
is timed on some filters of each layer and a batch of the same images in the same precision, and its time for all is
extrapolated.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn

from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions import get_distortion
from deepcorrect.layers import Layer, convolutions, find_layers
from deepcorrect.loading import as_float
from deepcorrect.models.allcnn import AllCNN
from deepcorrect.patching import capture, patched
from deepcorrect.priority import rank_filters
from deepcorrect.runtime import Precision, autocast, describe_machine, keep_memory, resolve_precision

CPU = torch.device("cpu")
NOISE = get_distortion("noise")
LAYERS, BATCH = 6, 250


def hook_seconds(network: nn.Module, images: ImageSet, layer: Layer, filters: int, precision: Precision) -> float:
    """Median seconds for one filter: a hook, and a whole forward pass."""
    clean = as_float(images.images)
    distorted = NOISE.at(clean, NOISE.levels("cifar")[0], images.indices, 0).contiguous(memory_format=torch.channels_last)
    took = []
    with torch.inference_mode(), autocast(CPU, precision):
        with capture(network, [layer.name]) as outputs:
            network(clean)
        for filter_ in range(filters):
            started = time.perf_counter()
            with patched(network, layer.name, [filter_], outputs[layer.name][:, [filter_]]):
                network(distorted).argmax(1)
            took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--levels", type=int, choices=range(1, 7), default=1)
    parser.add_argument("--filters", type=int, default=3, help="of each layer, for the opponent")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_memory()
    torch.manual_seed(0)
    network = AllCNN().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
    images = ImageSet.whole(pictures, torch.randint(0, 100, (options.images,)))
    layers = convolutions(find_layers(network, as_float(pictures[:1])))[:LAYERS]
    precision = resolve_precision(options.precision, CPU)
    levels = NOISE.levels("cifar")[: options.levels]
    started = time.perf_counter()
    rank_filters(network, images, NOISE, levels, layers=layers, precision=precision)
    exact = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    batch = images.take(torch.arange(min(BATCH, options.images)))
    one = sum(layer.filters * hook_seconds(network, batch, layer, options.filters, precision) for layer in layers)
    hooks = one * options.levels * options.images / len(batch)
    filters = sum(layer.filters for layer in layers)
    figures = {
        "machine": describe_machine(CPU),
        "torch": torch.__version__,
        "precision": precision,
        "filters": filters,
        "images": options.images,
        "levels": options.levels,
        "exact_seconds": round(exact, 1),
        "exact_passes_per_second": round(options.images * options.levels * filters / exact),
        "exact_peak_memory_gb": round(peak, 2),
        "hooks_seconds_extrapolated": round(hooks, 1),
        "speedup_over_hooks": round(hooks / exact, 2),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()

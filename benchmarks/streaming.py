"""Streaming of photographs: ``python -m benchmarks.streaming [--data DIR] [--json]``.

Four questions, on photographs of ImageNet's usual size (500 x 375, made of clouds and edges) or on those under DIR:

- ``decoding``: how many images per second 0, 1 and 2 worker processes read and resize;
- ``network``: how many images per second a network classifies on one core, and how many times as many one core decodes;
- ``sweep``: the speed of an evaluation at seven levels on streamed images, as a share of that on images in memory;
- ``memory``: megabytes taken by the reading process and its two workers, over 50,000 files.

The opponent, ``naive``, is a ``DataLoader`` over a list of files that are opened by Pillow and made float tensors, as one would
first write it. Rates are given by the clock and by the processor time of all processes, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from deepcorrect.base.device import Precision, autocast, describe_machine, keep_memory, resolve_precision
from deepcorrect.datasets.batches import as_float, batches
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Images
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models import find_preprocessing, load_model

CPU = torch.device("cpu")
BATCH = 50
MODELS = ("experiments/caltech/efficientnet_lite0.py:make", "alexnet")
DISTORTION = get_distortion("blur")
RESIZE = Resize(227)
WAYS = ("streamed", "streamed, freed memory kept", "naive")


def photograph(random: np.random.Generator, width: int = 500, height: int = 375) -> Image.Image:
    """Clouds of every coarseness, and a dozen edges."""
    pixels = torch.full((3, height, width), 128.0)
    for cells in (2**power for power in range(1, 9)):
        cloud = torch.from_numpy(random.standard_normal((1, 3, cells, cells), dtype=np.float32))
        pixels += 30 * cells**-0.15 * interpolate(cloud, (height, width), mode="bicubic")[0]
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    for angle, offset in random.uniform((0, -1), (2 * np.pi, 1), (12, 2)):
        colour = torch.from_numpy(random.standard_normal((3, 1, 1), dtype=np.float32))
        pixels += 24 * colour * (rows * np.sin(angle) + columns * np.cos(angle) > offset)
    return Image.fromarray(pixels.clamp(0, 255).byte().permute(1, 2, 0).numpy())


def streamed(files: Sequence[str], resize: Resize, workers: int) -> StreamedSet:
    """Files as the product reads them."""
    stream = Stream.of(np.array([os.fsencode(file) for file in files]), Image.open, resize, False, workers=workers)
    return StreamedSet(stream, torch.zeros(len(files), dtype=torch.int64), torch.arange(len(files)))


class Naive(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """A list of files and labels; images are float tensors (C, H, W) in [0, 1]."""

    def __init__(self, files: Sequence[str], resize: Resize) -> None:
        self.samples = [(file, 0) for file in files]
        self.resize = resize

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self.samples[index]
        image = self.resize(Image.open(file).convert("RGB"))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255), label

    def loader(self, workers: int) -> DataLoader[tuple[Tensor, int]]:
        """In order, in batches."""
        return DataLoader(self, batch_size=BATCH, num_workers=workers)


def rates(count: int, steps: Iterable[object]) -> dict[str, float]:
    """Images per second of wall time, and per second of processor time (finished workers included), until the steps end."""
    started, spent = time.perf_counter(), sum(os.times()[:4])
    for _ in steps:
        pass
    took, used = time.perf_counter() - started, sum(os.times()[:4]) - spent
    return {"by_the_clock": round(count / took, 1), "by_core": round(count / max(used, 0.01), 1)}


def in_batches(images: StreamedSet) -> Iterator[Tensor]:
    """In batches, as an evaluation reads them."""
    return images.read(torch.arange(len(images)).split(BATCH))  # type: ignore[no-untyped-call]


def decoding_figures(files: Sequence[str], resize: Resize, workers: int) -> dict[str, object]:
    """Rates of both readers, after a check that they give the same images."""
    ours, theirs = next(in_batches(streamed(files[:8], resize, 0))), next(iter(Naive(files[:8], resize).loader(0)))[0]
    assert torch.equal(as_float(ours), theirs)
    return {
        "streamed": rates(len(files), in_batches(streamed(files, resize, workers))),
        "naive": rates(len(files), Naive(files, resize).loader(workers)),
    }


def network_figures(spec: str, files: Sequence[str], decoded: Sequence[str], precision: Precision) -> dict[str, object]:
    """For one network: its rate, the rate of decoding for it, and the share of its speed that streaming keeps.

    The sweep is run with a core for the network and one for a worker, and with both cores for both.
    """
    network = load_model(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    preprocessing = find_preprocessing(spec)
    assert preprocessing is not None
    assert preprocessing.resize is not None
    resize = preprocessing.resize
    held = streamed(files, resize, 0).held()
    ready = [batch.images for batch in batches(held, BATCH, CPU)]

    def answers() -> Iterator[Tensor]:
        with torch.inference_mode(), autocast(CPU, precision):
            for images in ready:
                yield network(images)

    def sweep(images: Images) -> float:
        started = time.perf_counter()
        levels = DISTORTION.levels("imagenet")
        evaluate(network, images, DISTORTION, levels, classes=1000, precision=precision, batch_size=BATCH)
        return time.perf_counter() - started

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    next(answers())
    alone, decoding = rates(len(held), answers()), rates(len(decoded), in_batches(streamed(decoded, resize, 1)))
    figures: dict[str, object] = {"network": alone, "decoding": decoding}
    figures["decoding_over_network"] = round(decoding["by_core"] / alone["by_core"], 2)
    for cores in (1, 2):
        torch.set_num_threads(cores)
        at_hand, read = sweep(held), sweep(streamed(files, resize, cores))
        name = f"sweep, threads {cores}, workers {cores}"
        figures[name] = {"held": round(at_hand, 2), "streamed": round(read, 2), "speed_kept": round(at_hand / read, 3)}
    torch.set_num_threads(threads)
    return figures


def resident() -> float:
    """Megabytes of this process and its workers: their own memory, and all shared memory."""
    shared = os.statvfs("/dev/shm")
    total = (shared.f_blocks - shared.f_bfree) * shared.f_frsize
    for process in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        sizes = dict(line.split(":") for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
        total += 1024 * (int(sizes["Pss"].split()[0]) - int(sizes["Pss_Shmem"].split()[0]))
    return total / 1e6


def memory(way: str, folder: Path) -> dict[str, float]:
    """Megabytes over the images of a folder: after the first tenth, at the end, and the most after any batch."""
    files = sorted(os.fspath(file) for file in folder.iterdir())
    network = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, 2)).eval()
    after: list[tuple[int, float]] = [(0, 0.0)]

    def sample(images: int) -> None:
        after.append((after[-1][0] + images, resident()))

    if "kept" in way:
        keep_memory()
    if "streamed" in way:
        evaluate(network, streamed(files, RESIZE, 2), DISTORTION, (), classes=2, progress=sample)
    else:
        with torch.inference_mode():
            for images, _ in Naive(files, RESIZE).loader(2):
                network(images)
                sample(len(images))
    tenths = [taken for done, taken in after if done >= len(files) / 10]
    return {"first": round(tenths[0]), "last": round(tenths[-1]), "most": round(max(taken for _, taken in after))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of .jpg files (default: generated images)")
    parser.add_argument("--photographs", type=int, default=200, help="how many different photographs")
    parser.add_argument("--decode", type=int, default=2000, help="images decoded for the timing")
    parser.add_argument("--sweep", type=int, default=300, help="images evaluated at seven levels; 0: no networks")
    parser.add_argument("--images", type=int, default=50_000, help="files over which memory is measured; 0: no measurement")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    keep_memory()
    torch.manual_seed(0)
    precision = resolve_precision("auto", CPU)
    figures: dict[str, object] = {}

    def tell(name: str, figure: object) -> None:
        figures[name] = figure
        if not options.json:
            print(f"{name}: {figure}", flush=True)

    tell("machine", describe_machine(CPU))
    tell("torch", torch.__version__)
    tell("precision", precision)
    with TemporaryDirectory() as folder:
        made, linked = Path(folder) / "made", Path(folder) / "linked"
        made.mkdir()
        linked.mkdir()
        if options.data is None:
            random = np.random.default_rng(0)
            for number in range(options.photographs):
                photograph(random).save(made / f"{number:06}.jpg", quality=95)
        photographs = sorted((options.data or made).resolve().glob("**/*.jpg"))
        files = [os.fspath(file) for file in photographs[:: max(1, len(photographs) // options.photographs)]]
        tell("kilobytes_a_photograph", round(sum(map(os.path.getsize, files)) / len(files) / 1e3, 1))
        decoded, swept = ([files[number % len(files)] for number in range(count)] for count in (options.decode, options.sweep))
        for workers in (0, 1, 2):
            tell(f"decoding, {workers} workers", decoding_figures(decoded, RESIZE, workers))
        for spec in options.models if swept else ():
            tell(spec, network_figures(spec, swept, decoded, precision))
        for number in range(options.images):
            (linked / f"{number:06}.jpg").symlink_to(files[number % len(files)])
        for way in WAYS if options.images else ():
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                tell(f"memory, {way}", process.submit(memory, way, linked).result())
        tell("memory, all held", round(options.images * 3 * RESIZE.size**2 / 1e6))
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

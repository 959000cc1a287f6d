"""A ``DataLoader`` as the data set behind it: all of its images, each once, whatever its batches are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler, default_collate

from deepcorrect.base.errors import DeepcorrectError

REMEDY = "give the Dataset itself, or torch.utils.data.Subset(dataset, indices) for some of its images"


class Loaded(NamedTuple):
    """The data set of a loader, its ``collate_fn`` where that is not torch's own, and its workers."""

    dataset: Any
    collate: Callable[[list[Any]], Any] | None
    workers: int
    worker_init: Callable[[int], None] | None


def unloaded(loader: DataLoader[Any]) -> Loaded:
    """What a loader reads, and how.

    Raises:
        DeepcorrectError: it does not go through all images of a map-style data set, each once.
    """
    if isinstance(loader.dataset, IterableDataset):
        raise DeepcorrectError(stream_refused(loader.dataset))
    batch_sampler = loader.batch_sampler
    if batch_sampler is not None and type(batch_sampler) is not BatchSampler:
        raise DeepcorrectError(
            f"a DataLoader with the batch sampler {type(batch_sampler).__name__}: which images it takes is not known; {REMEDY}"
        )
    sampler: Any = loader.sampler if batch_sampler is None else batch_sampler.sampler
    if not _takes_all(sampler, loader.dataset):
        raise DeepcorrectError(
            f"a DataLoader with the sampler {_described(sampler)}: it does not take every image once; {REMEDY}"
        )
    own = loader.batch_size is not None and loader.collate_fn is not default_collate
    return Loaded(loader.dataset, loader.collate_fn if own else None, loader.num_workers, loader.worker_init_fn)


def stream_refused(dataset: object) -> str:
    """Why a data set without positions cannot be taken."""
    return (
        f"{type(dataset).__name__} is an IterableDataset, whose images have no positions to be read by again; give a data set "
        "with __getitem__ and __len__"
    )


def _takes_all(sampler: Any, dataset: Any) -> bool:
    if type(sampler) is SequentialSampler:
        return len(sampler.data_source) == len(dataset)
    return type(sampler) is RandomSampler and not sampler.replacement and sampler.num_samples == len(dataset)


def _described(sampler: Any) -> str:
    name = type(sampler).__name__
    if type(sampler) is RandomSampler:
        return f"{name}(replacement={sampler.replacement}, num_samples={sampler.num_samples})"
    return name

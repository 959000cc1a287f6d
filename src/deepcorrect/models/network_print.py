"""Whether two networks have the same layers with the same numbers, whatever wraps them and in whatever precision they are.

A network is taken without what wraps it: names are relative to its *root*, the innermost module that holds all of its layers,
and only what lies in the root counts. So the mean and standard deviation of a normalising wrapper are no part of it.

Each tensor has a digest of its numbers in single precision, and one of these rounded to each of the two half precisions. A
network in half precision is told from others as exactly as half precision allows: its numbers must be those of the other one,
rounded. What is lost in rounding cannot be told: a network that was fine-tuned by less than a rounding step everywhere passes
for the one it began as. Numbers rounded to ``float16`` and the same rounded to ``bfloat16`` are not compared at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

Precision = Literal["float32", "float16", "bfloat16"]
_SHOWN = 6
"""Layers that a message names at most."""


class TensorPrint(NamedTuple):
    """A parameter or buffer.

    Attributes:
        precision: what its numbers are rounded to; double precision counts as single.
        float32, float16, bfloat16: digests of its shape and numbers, rounded to each of these.
    """

    precision: Precision
    float32: str
    float16: str
    bfloat16: str

    def rounded(self, precision: Precision) -> str:
        """The digest of the numbers rounded to that precision."""
        digest: str = getattr(self, precision)
        return digest

    def same(self, other: TensorPrint) -> bool:
        """Whether the numbers are equal, or one tensor's are the other's rounded to its precision."""
        return self.float32 == other.float32 or any(
            coarse.float32 == fine.rounded(coarse.precision) for coarse, fine in ((self, other), (other, self))
        )


class NetworkPrint(BaseModel):
    """What tells a network from others: prints of its tensors by their names, which are relative to its root."""

    model_config = ConfigDict(frozen=True)

    tensors: dict[str, TensorPrint]

    @property
    def layers(self) -> list[str]:
        """Names of the modules that hold the tensors, in the network's order."""
        return list(dict.fromkeys(name.rpartition(".")[0] for name in self.tensors))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the names and numbers, the latter in single precision."""
        told = [f"{name} {tensor.float32}" for name, tensor in sorted(self.tensors.items())]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    @property
    def precisions(self) -> set[Precision]:
        """What its numbers are rounded to."""
        return {tensor.precision for tensor in self.tensors.values()}


def root_of(model: nn.Module) -> str:
    """Name of the innermost module that holds all layers: convolutions, dense layers, normalisations, all with parameters.

    It is the network itself if that has several layers side by side, and empty if nothing wraps them.
    """
    layers = [name for name, module in model.named_modules() if _is_layer(module)]
    if not layers:
        return ""
    path = layers[0].split(".") if len(layers) > 1 else layers[0].split(".")[:-1]
    while not all(_holds(".".join(path), name) for name in layers):
        path.pop()
    return ".".join(path)


def relative(root: str, name: str) -> str:
    """The name, relative to the root, of a module that lies in it."""
    return name.removeprefix(f"{root}.") if root else name


def absolute(root: str, name: str) -> str:
    """The name in the whole model of a module of the root."""
    return f"{root}.{name}" if root else name


def print_network(model: nn.Module) -> NetworkPrint:
    """The print of a network that has no correction."""
    return print_tensors(dict(_tensors(model.get_submodule(root_of(model)))))


def print_tensors(found: Mapping[str, Tensor]) -> NetworkPrint:
    """The print of real tensors by name; integers are left out."""
    found = {name: value for name, value in found.items() if value.is_floating_point()}
    whole: Precision = "float32"  # numbers that were rounded and are kept in single precision again
    for precision in ("float16", "bfloat16"):
        if found and all(torch.equal(_rounded(value, precision), _single(value)) for value in found.values()):
            whole = precision
    return NetworkPrint(tensors={name: _print_tensor(value, whole) for name, value in found.items()})


def difference(expected: NetworkPrint, here: NetworkPrint) -> str | None:
    """In what a network differs from the one that is expected, in words that end a sentence; None if it does not."""
    if expected.tensors.keys() != here.tensors.keys():
        missing = [name for name in expected.tensors if name not in here.tensors]
        further = [name for name in here.tensors if name not in expected.tensors]
        if len(missing) + len(further) <= 2:
            told = [f"has no {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(further)} besides"] * bool(further)
            return f"this network {' and '.join(told)}"
        return f"its layers are {_listed(expected.layers)}; this one's are {_listed(here.layers)}"
    differing = [name for name in expected.tensors if not expected.tensors[name].same(here.tensors[name])]
    if not differing:
        return None
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in differing))
    among = "all layers" if len(layers) == len(here.layers) > 1 else f"layer {_listed(layers)}"
    said = f"the layers fit, but the weights of {among} differ"
    if {"float16", "bfloat16"} <= expected.precisions | here.precisions:
        one, other = ("/".join(sorted(some.precisions)) for some in (expected, here))
        said += (
            f"; its numbers were rounded to {one} there and to {other} here, which cannot be compared: load the correction "
            "before you convert the network"
        )
    return said


def _is_layer(module: nn.Module) -> bool:
    known = isinstance(module, nn.Conv2d | nn.Linear) or getattr(module, "running_mean", None) is not None
    return known or next(module.parameters(recurse=False), None) is not None


def _holds(module: str, name: str) -> bool:
    return not module or name == module or name.startswith(f"{module}.")


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and saved buffers that are no integers."""
    unsaved = {
        f"{name}.{buffer}" if name else buffer
        for name, module in network.named_modules()
        for buffer in getattr(module, "_non_persistent_buffers_set", ())
    }
    for name, value in chain(network.named_parameters(), network.named_buffers()):
        if name not in unsaved and (value.is_floating_point() or value.is_complex()):
            yield name, torch.view_as_real(value.detach().resolve_conj()) if value.is_complex() else value.detach()


def _print_tensor(value: Tensor, whole: Precision) -> TensorPrint:
    own: dict[torch.dtype, Precision] = {torch.float16: "float16", torch.bfloat16: "bfloat16"}
    digests = (_digest(_rounded(value, precision)) for precision in ("float32", "float16", "bfloat16"))
    return TensorPrint(own.get(value.dtype, whole), *digests)


def _rounded(value: Tensor, precision: Precision) -> Tensor:
    dtypes = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return _single(value.cpu().to(dtypes[precision]))


def _single(value: Tensor) -> Tensor:
    return value.float().cpu()


def _digest(value: Tensor) -> str:
    """64 bits are enough: nobody is kept out by it."""
    digest = hashlib.sha256(str(tuple(value.shape)).encode())
    digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _listed(names: list[str]) -> str:
    told = ", ".join(name or "(the network itself)" for name in names[:_SHOWN]) or "none"
    return told if len(names) <= _SHOWN else f"{told} and {len(names) - _SHOWN} more"

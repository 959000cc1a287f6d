"""Networks that are captured, swapped or refused each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from deepcorrect.base.device import laid_out
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from tests.conftest import random_images

NOISE = get_distortion("noise")
LEVEL = 60.0


Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Modules by name, what they do together to images, and a head on the spatial mean of that."""

    def __init__(self, forward: Forward, width: int = 6, **parts: nn.Module) -> None:
        super().__init__()
        self._parts = forward
        self.parts = nn.ModuleDict(parts)
        self.head = nn.Linear(width, 5)

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self._parts(self, images)
        logits: Tensor = self.head(values.mean((2, 3)) if values.ndim == 4 else values)
        return logits

    def run(self, name: str, values: Tensor) -> Tensor:
        found: Tensor = self.parts[name](values)
        return found


def conv(incoming: int = 3, outgoing: int = 6, kernel: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(incoming, outgoing, kernel, **{"padding": 1, **options})  # type: ignore[arg-type]


def tied(first: nn.Conv2d, second: nn.Conv2d) -> dict[str, Any]:
    second.weight = first.weight
    return {"a": first, "b": second}


class Standardised(nn.Conv2d):
    """Its weight is computed as it runs."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        found: Tensor = self._conv_forward(input, weight, self.bias)
        return found


class Rolled(nn.Conv2d):
    """What comes out is not what its convolution gives: channels change places."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).roll(1, 1).relu()


class Conditional(nn.Module):
    """A convolution whose weight depends on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(6, 6 * 6)

    def forward(self, images: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        weight = self.weigh(images.mean((2, 3))).view(-1, channels, 1, 1)
        found = F.conv2d(images.reshape(1, -1, height, width), weight, groups=count)
        return found.view(count, channels, height, width)


def frames(net: Net, images: Tensor) -> Tensor:
    """The layer ``b`` sees two crops of each image as images of their own."""
    values = net.run("a", images).relu()
    crops = torch.stack([values[..., :6], values[..., 2:]], 1).flatten(0, 1)
    found = net.run("b", crops).relu()
    return found.view(len(images), 2, *found.shape[1:]).mean(1)


def written_into(net: Net, images: Tensor) -> Tensor:
    return net.run("b", net.run("a", images.sub_(0.45).div_(0.2)).relu_())


def chain(net: Net, images: Tensor) -> Tensor:
    return net.run("b", net.run("a", images).relu()).relu()


def viewed(net: Net, images: Tensor) -> Tensor:
    return net.run("a", images).relu().view(images.shape[0], -1)


GRAPH: dict[str, Callable[[], Net]] = {
    "tied in parallel": lambda: Net(
        lambda net, x: net.run("a", x).relu() + net.run("b", x).relu(), **tied(conv(), conv(padding=2, dilation=2))
    ),
    "tied in a chain": lambda: Net(
        lambda net, x: net.run("b", net.run("a", net.run("stem", x)).relu()), stem=conv(), **tied(conv(6), conv(6, stride=2))
    ),
    "spectral norm": lambda: Net(chain, a=conv(), b=nn.Sequential(spectral_norm(conv(6)), nn.BatchNorm2d(6))),
    "depthwise, weight norm": lambda: Net(chain, a=weight_norm(conv()), b=weight_norm(conv(6, groups=6))),
    "standardised": lambda: Net(chain, a=Standardised(3, 6, 3), b=Standardised(6, 6, 3)),
    "rolled inside": lambda: Net(chain, a=Rolled(3, 6, 3), b=Rolled(6, 6, 3)),
    "rolled inside, twice": lambda: Net(lambda net, x: chain(net, net.run("a", x)[:, :3]), a=Rolled(3, 6, 3), b=conv(6)),
    "weight of each image": lambda: Net(chain, a=conv(), b=Conditional()),
    "same padding, even": lambda: Net(chain, a=conv(kernel=4, padding="same"), b=conv(6, kernel=2, padding="same", dilation=3)),
    "before and after a ReLU": lambda: Net(
        lambda net, x: (lambda y: net.run("b", y.relu()) + net.run("c", y + y.relu()))(net.run("a", x)),
        a=conv(), b=conv(6), c=conv(6),
    ),
    "detached": lambda: Net(lambda net, x: net.run("b", net.run("a", x).detach().relu()), a=conv(), b=conv(6)),
    "images written into": lambda: Net(written_into, a=conv(), b=conv(6)),
    "view of its values": lambda: Net(viewed, 384, a=conv()),
    "parallel": lambda: Net(chain, a=conv(), b=nn.DataParallel(conv(6))),
}  # fmt: skip


def prepared(net: nn.Module, count: int = 8) -> tuple[ImageSet, Tensor, Tensor]:
    """Images with the labels that a network gives them, clean and distorted."""
    images = random_images(count)
    clean = laid_out(as_float(images.images), net)
    with torch.no_grad():
        for _ in range(2):
            net.train()(clean.clone())
        logits = net.eval()(clean.clone())
    labelled = ImageSet.whole(images.images, (logits - logits.mean(0)).argmax(1))
    return labelled, clean, laid_out(NOISE.at(clean, LEVEL, images.indices, 0), net)


def swapped(net: nn.Module, module: nn.Module, filters: Sequence[int], clean: Tensor, distorted: Tensor) -> Tensor:
    """The answer with some filters swapped by a hook, every time that the module runs."""
    held: list[Tensor] = []
    handle = module.register_forward_hook(lambda module, args, output: held.append(output.clone()))
    net(clean.clone())
    handle.remove()
    calls = iter(held)

    def put(module: nn.Module, args: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, filters] = next(calls)[:, filters]
        return output

    handle = module.register_forward_hook(put)
    logits: Tensor = net(distorted.clone())
    handle.remove()
    return logits

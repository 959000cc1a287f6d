"""Which distortions do my images look like: real images that are ruined already decide what a mixture is trained on.

They need neither labels nor clean counterparts. Statistics of the first convolution's outputs, by which a gate decides too, are
compared with the statistics of clean images under each distortion at each level. What the real images show stays out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.adapters.gate import FirstLayer, statistics
from deepcorrect.base.device import laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.showing import Shown, View
from deepcorrect.base.tables import Table
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.door import given_as
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.combined import Mixture
from deepcorrect.distortions.matching import mixing_shares
from deepcorrect.models.layers import convolutions
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.pipeline.entrance import dataset_of, distortion_of, left_as_found, reporting, require_sound
from deepcorrect.pipeline.job import Job

IMAGES = 300
"""How many clean images are distorted in each way, if nobody says."""
BATCH = 100


@dataclass(frozen=True, repr=False)
class Resemblance(Shown):
    """What some real images look like.

    Attributes:
        mixture: the distortions that they were compared with.
        clean: the share of them that looks clean, in [0, 1].
        shares: by member of the mixture, the share that looks like it at each step; 1 together with ``clean``.
        images: how many real images.
    """

    mixture: Mixture
    clean: float
    shares: Mapping[str, tuple[float, ...]]
    images: int

    @property
    def weighted(self) -> Mixture:
        """The mixture, half of it drawn in training as often as the real images look like each member at each step.

        The other half is drawn evenly, because what an image looks like says little of weak distortions, and nothing of those
        that the images suffer beside it.

        Raises:
            DeepcorrectError: they all look clean.
        """
        total, count = sum(map(sum, self.shares.values())), sum(map(len, self.shares.values()))
        if not total:
            raise DeepcorrectError(f"the real images look like none of {', '.join(self.shares)}; give other distortions")
        return self.mixture.weighted([[share / total + 1 / count for share in row] for row in self.shares.values()])

    def views(self) -> list[View]:
        """A row for each distortion, the most frequent first, a column for each step."""
        order = sorted(self.shares, key=lambda name: -sum(self.shares[name]))
        steps = len(self.mixture.levels())
        rows = [(name, *(f"{share:.1%}" for share in (*self.shares[name], sum(self.shares[name])))) for name in order]
        rows.append(("clean", *[""] * steps, f"{self.clean:.1%}"))
        title = f"What {self.images:,} real images look like"
        return [View(Table(title, ("Distortion", *(f"step {step + 1}" for step in range(steps)), "All"), rows))]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {sum(shares):.0%}" for name, shares in self.shares.items())
        return f"Resemblance({self.images:,} images: clean {self.clean:.0%}, {shown})"


def resemblance(
    model: nn.Module,
    clean: Any,
    real: Any,
    distortion: Distortion | str,
    *,
    images: int = IMAGES,
    seed: int = 0,
    progress: bool | None = None,
) -> Resemblance:
    """Which distortions, at which levels, some real images look like.

    Train for these by giving ``.weighted`` of the result to ``correct`` as its distortion.

    Args:
        model: takes images (B, C, H, W) in [0, 1]; its first convolution looks at them. It is left as it was.
        clean: images like those that it was trained on, in any of the forms of ``as_images``; labels are not needed.
        real: images that are ruined already, of the same size, labels are not needed either.
        distortion: a ``Mixture``, or its name, as ``"mix:blurs,noises"``.
        images: how many clean images are distorted in each way; ten times as many real ones are looked at.
        seed: of the choice of images, and of random distortions.
        progress: whether a bar is shown, by default in a terminal or a notebook.

    Raises:
        DeepcorrectError: a distortion that is no mixture, or images that cannot be understood or differ in size.
    """
    require_sound(seed, "fp32")
    normalization = normalization_of(model)
    given = [given_as(data, "test", normalization=normalization) for data in (clean, real)]
    with left_as_found(model) as network, reporting(progress) as reporter:
        data = dataset_of(network, train=given[0], test=given[1])
        job = Job(network, data, seed=seed, reporter=reporter)
        return resemblance_of(job, distortion_of(distortion).fitted(data.ladder), data.test, images=images)


def resemblance_of(job: Job, distortion: Distortion, real: Images, *, images: int = IMAGES) -> Resemblance:
    """What real images look like, compared with a job's training images under a mixture.

    Args:
        images: how many training images are distorted in each way; ten times as many real ones are looked at.

    Raises:
        DeepcorrectError: a distortion that is no mixture, images of another size, or too few of them.
    """
    if not isinstance(distortion, Mixture):
        raise DeepcorrectError(
            f"{argument('distortion', distortion.name)}: real images decide the shares of a mixture; give one, such as "
            "mix:blur,noise"
        )
    if real.shape[1:] != job.data.image_shape:
        here, there = ("x".join(map(str, shape)) for shape in (real.shape[1:], job.data.image_shape))
        raise DeepcorrectError(f"{argument('real')}: images of {here} (channels, height, width), the others are {there}")
    clean, real = _some(job.data.train, images, job.seed), _some(real, 10 * images, job.seed)
    steps, members = distortion.levels(), distortion.members
    ways = [(member, level) for member in members for level in distortion.severities(member)]
    job.reporter.stage("compare real images with distorted ones", len(real) + len(clean) * (1 + len(ways)))
    first = FirstLayer(job.model, convolutions(job.layers)[0].name)
    known = [_describe(job, first, clean, members[0], 0.0), *(_describe(job, first, clean, *way) for way in ways)]
    shares = mixing_shares(known, _describe(job, first, real, members[0], 0.0)).tolist()
    rows = {member.name: tuple(shares[1 + len(steps) * index :][: len(steps)]) for index, member in enumerate(members)}
    return Resemblance(distortion, shares[0], rows, len(real))


def _some(images: Images, count: int, seed: int) -> Images:
    order = torch.randperm(len(images), generator=generator(seed, Use.SUBSET))
    return images.take(order[:count].sort().values)


@torch.no_grad()
def _describe(job: Job, first: FirstLayer, images: Images, distortion: Distortion, level: float) -> Tensor:
    """Statistics of every image under a distortion, (N, D) float32 on the CPU; at level 0 as it is.

    Distorted images are clipped to [0, 1], as those in a file are.
    """
    described: list[Tensor] = []

    def see(outputs: Tensor) -> bool:
        described.append(statistics(outputs).cpu())
        return False

    for batch in batches(images, BATCH, job.device):
        distorted = distortion.at(batch.images, level, batch.indices, job.seed).clamp(0, 1)
        first.run(laid_out(distorted, job.model), see)
        job.reporter.advance(len(distorted))
    return torch.cat(described)

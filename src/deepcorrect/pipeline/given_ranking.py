"""Whether a ranking that is given fits the network, the layers and the distortion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.layers import Layer
from deepcorrect.ranking.result import Ranking


def check_ranking(
    ranking: Ranking,
    distortion: Distortion,
    layers: Sequence[Layer],
    *,
    levels: Sequence[float] | None = None,
    network: str | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> None:
    """Refuse a ranking that was not made for this distortion, these layers and this network.

    Args:
        levels: those to correct for; ``tell`` is told if the ranking was made at others.
        network: fingerprint of the network; a ranking that an older version saved does not know its own.

    Raises:
        DeepcorrectError: the message says what differs.
    """
    name = argument("ranking", option="ranked-by")
    if ranking.distortion != distortion.name:
        raise DeepcorrectError(f"{name}: ranked under {ranking.distortion}, not {distortion.name}")
    for layer in layers:
        ranked = len(ranking.scores.get(layer.name, ()))
        if ranked != layer.filters:
            raise DeepcorrectError(f"{name}: it ranks {ranked} filters of layer {layer.name}, which has {layer.filters}")
    if ranking.network and network and ranking.network != network:
        raise DeepcorrectError(
            f"{name}: it ranks the filters of another network (fingerprint {ranking.network[:12]}, this one's is "
            f"{network[:12]}); rank this one"
        )
    if levels is not None and sorted(ranking.levels) != sorted(levels):
        at, wanted = (", ".join(f"{level:g}" for level in given) for given in (ranking.levels, levels))
        tell(f"{name}: ranked at levels {at}, corrected for {wanted}")

"""What ruins images, with a severity: blur, noise, the common corruptions, the registry; and restoration, the alternative."""

from deepcorrect.distortions import blur, low_light, noise, white_balance  # noqa: F401  they register themselves
from deepcorrect.distortions.common import (  # noqa: F401
    blurs,
    colour,
    elastic,
    fog,
    frost,
    glass,
    jpeg,
    noises,
    pixelate,
    snow,
    spatter,
    zoom,
)

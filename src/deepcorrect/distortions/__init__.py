"""What ruins images, with a severity: blur, noise, common corruptions, the registry; and restoration, the alternative."""

from deepcorrect.distortions import blur, noise  # noqa: F401  they register themselves
from deepcorrect.distortions.common import blurs, glass, noises, zoom  # noqa: F401  as do these

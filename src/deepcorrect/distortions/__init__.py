"""What ruins images, with a severity: blur, noise, the registry; and restoration, the alternative to correction."""

from deepcorrect.distortions import blur, noise  # noqa: F401  they register themselves

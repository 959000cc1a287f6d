"""``python -m deepcorrect.cli``."""

from deepcorrect.cli import main

main()

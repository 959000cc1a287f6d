"""The one error a user of the command line is meant to see."""


class DeepcorrectError(Exception):
    """A mistake in the input, said in one line that names the file or option and the remedy."""

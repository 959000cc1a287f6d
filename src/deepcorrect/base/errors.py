"""The one error a user of the command line is meant to see, and what other errors say in one line."""


class DeepcorrectError(Exception):
    """A mistake in the input, said in one line that names the file or option and the remedy."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return said if len(said) <= 200 else f"{said[:200]} ..."

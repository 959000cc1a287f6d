"""The error whose message is written for the user, and the first line of any other error's."""


class DeepcorrectError(Exception):
    """A mistake in what the user gave: one line that names the file, argument or option, the reason and the remedy."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not blank, at most 200 characters of it; its type if there is none."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return said if len(said) <= 200 else f"{said[:200]} ..."

"""Speed, each figure against a named opponent in the same run."""

"""Measurements of speed, each against a named opponent in the same run."""

"""Correction priority (section 4.1): gains of swaps, rankings made of them, and how far they are to be trusted."""

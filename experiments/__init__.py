"""The paper's tables, measured here."""

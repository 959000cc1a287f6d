"""What is attached to a frozen network: plans, correction units, the modules that take them, the file of a correction."""

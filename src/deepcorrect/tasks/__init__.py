"""What a network is for: labels, loss, divergence, scores of single images, and metrics (``base``), a module for each task."""

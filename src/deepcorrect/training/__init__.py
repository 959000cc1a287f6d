"""The training loop with its recipes, optimisers, batches and teacher."""

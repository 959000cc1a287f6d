"""How well a network does, and at what cost: accuracy, answers, features, significance, multiply-accumulates."""

"""Real photographs of letters and digits: a network trained on good ones, tested on really bad ones."""

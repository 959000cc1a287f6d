"""The study of a pretrained ImageNet network on Caltech-101: job files, and the page of its results."""

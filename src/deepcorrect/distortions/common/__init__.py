"""The common corruptions of Hendrycks and Dietterich (ICLR 2019): the 15 of ImageNet-C and its 4 extra ones.

Each has five severities, whose parameters depend on the size of the images. Images come and go as floats in [0, 1]; results are
clipped but not rounded to 256 steps.
"""

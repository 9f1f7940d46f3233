"""Published denoisers of other authors as one thing: modules of images in [0, 1] and a noise level in the same units.

``forward(x, sigma)`` takes (B, C, H, W) of any size and (B, 1, 1, 1), and returns the denoised images. The names of
parameters are the published ones, so that a state dict says whether it fits.
"""

"""idm: reconstruct images from linear measurements y = A x with invertible diffusion models."""

__version__ = "0.1.0"

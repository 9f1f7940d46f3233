"""Tools on tensors that know nothing of images: linear systems, maps with adjoints, differences, divergences."""

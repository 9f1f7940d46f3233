"""A training run: from pictures and a configuration to weights in a folder."""

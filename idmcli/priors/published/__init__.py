"""Denoisers published by others, one module for each family: its network, how its files are recognised, its prior.

A family's module defines ``FORMAT``, which :data:`idmcli.plugins.PRIORS` names. A state dict is recognised by
the names of its tensors, and sizes are read off their shapes. The parameters of a network have their published names,
so that a file says whether it fits. A network's ``forward(x, sigma)`` takes images in [0, 1], (B, C, H, W) of any size,
and a noise level in the same units, (B, 1, 1, 1).

The other modules are what families share: ``networks`` builds and fills networks, ``convolutions`` has the chains of
DnCNN, FFDNet and IRCNN, ``diffusers_folders`` reads the folders of diffusers, and ``clip`` is their text encoder.
"""

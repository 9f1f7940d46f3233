"""K-space of scanners becomes measurements: coil maps, noise, and the conventions of the operator."""

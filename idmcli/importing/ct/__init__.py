"""Sinograms become measurements of parallel and of fan beams.

:mod:`~idmcli.importing.ct.importer` decides what follows from the file, what from the options, and what is missing;
the other modules hold one calibration each.
"""

from idmcli.importing.ct.importer import ARRAY, PICTURE, SINOGRAM

__all__ = ["ARRAY", "PICTURE", "SINOGRAM"]

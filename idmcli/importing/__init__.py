"""Measurements that nobody here simulated: raw data of scanners and cameras become measurements.

A format reads a file into raw data (:mod:`idmcli.io.formats`); an :class:`Importer` makes a measurement of it, with
calibration, and says what it assumed.
"""

from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.importing.load import facts_of, import_item, importer_for, parts_of

__all__ = ["Assumptions", "Facts", "ImportOptions", "Importer", "facts_of", "import_item", "importer_for", "parts_of"]

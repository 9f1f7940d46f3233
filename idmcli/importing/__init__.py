"""Measurements that nobody here simulated: from the numbers in files to a measurement that can be reconstructed."""

from idmcli.importing.matrix import import_by_matrix

__all__ = ["import_by_matrix"]

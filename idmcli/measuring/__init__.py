"""Measurements: a measured image with all that is known of it, its file, and its simulation from a picture."""

from idmcli.measuring.file import load_measurement
from idmcli.measuring.measurement import Measurement, Provenance
from idmcli.measuring.simulate import measured_by, operator_for, select_channels, simulate, to_batch

__all__ = [
    "Measurement",
    "Provenance",
    "load_measurement",
    "measured_by",
    "operator_for",
    "select_channels",
    "simulate",
    "to_batch",
]

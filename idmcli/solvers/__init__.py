"""Solvers: functions from an operator and its measurements to images."""

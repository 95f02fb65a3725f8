"""Removing bias: how likely a pair was to be observed, and the weights that make up for it."""

from pyrec.debias.clicks import examination, exposure_weights, position_weights
from pyrec.debias.propensities import METHODS, Propensities, propensities

__all__ = ["METHODS", "Propensities", "examination", "exposure_weights", "position_weights", "propensities"]

"""From the raw data of a burst to a measurement and a score. Pure functions."""

"""Exports finished trials: as data, and as files that serve a configuration."""

"""Finished trials as files: data to read on, and files that serve a configuration."""

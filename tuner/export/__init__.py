"""Finished trials as files: JSON, YAML and CSV to read on, a compose file to serve with."""

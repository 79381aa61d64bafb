"""Whether what was exported does what was measured: deploy the file as it stands, and look."""

"""Blocks as HTML, as images, and on a terminal."""

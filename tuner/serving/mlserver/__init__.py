"""The lock of the image of MLServer."""

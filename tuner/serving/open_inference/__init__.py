"""A server of ONNX models by the Open Inference Protocol, made to run alone in an image.

It knows nothing of the rest of `tune`: its image holds this package, what it shares with the server
of SavedModels in `tuner.serving.server`, and a handful of Python wheels.
"""

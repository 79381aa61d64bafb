"""A server of ONNX models by the Open Inference Protocol, made to run alone in an image.

It knows nothing of the rest of `tune`: its image holds this package, what it shares with the server
of SavedModels in `tuner.serving.server`, and a handful of Python wheels.
"""

import os

# ONNX Runtime's wheel for Linux reports its use to its maker when it can. Neither a measurement nor
# a network that may not be used has room for that; the variable is read when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

"""The files of the server of ONNX models: this package, and what it shares with the other one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PACKAGE = "tuner.serving.open_inference"

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_SHARED = (
    "batching",
    "batching_flags",
    "codec",
    "flag_types",
    "grpc_api",
    "http_api",
    "json_errors",
    "limits",
    "messages",
    "metrics",
    "numbered",
    "protocol",
    "run",
    "serving_process",
    "signatures",
    "status",
    "tensors",
)


def program() -> Mapping[str, Path]:
    """Each file by its path in the image, such as `tuner/serving/server/status.py`."""
    serving = _HERE.parent
    files = [
        _ROOT / "tuner" / "__init__.py",
        serving / "__init__.py",
        serving / "server" / "__init__.py",
        *(serving / "server" / f"{name}.py" for name in _SHARED),
        *(path for path in _HERE.iterdir() if path.suffix in {".py", ".proto"}),
    ]
    return {path.relative_to(_ROOT).as_posix(): path for path in sorted(files)}

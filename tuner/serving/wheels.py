"""The Python wheels of the serving image: downloaded on the host, and what the image keeps of them.

A build container may lack the host's certificates and mirrors, so pip runs here.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tuner.errors import SetupError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON_VERSION = "3.11"  # of both base images

# Newest first; a wheel for an older one runs too.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")

# TensorFlow without its Python package: native libraries, generated protobuf modules, notices.
_TENSORFLOW = re.compile(
    r"tensorflow/(libtensorflow_(cc|framework)\.so\.\d+"
    r"|(core|compiler|tsl)/(.*/)?(\w+_pb2|__init__)\.py"
    r"|THIRD_PARTY_NOTICES\.txt)"
)
# ONNX Runtime without its tools for converting and quantising, and the library of its C API.
_ONNX_RUNTIME = re.compile(
    r"onnxruntime/(__init__\.py|LICENSE|ThirdPartyNotices\.txt|capi/[^/]*\.(py|so))"
)
_UNUSED = re.compile(r"(^|/)(tests?|include|__pycache__)/|\.(pyi|pyx|pxd|a|lib)$")


def download_wheels(directory: Path, requirements: Path = REQUIREMENTS) -> list[Path]:
    """Download what `requirements` locks, for the image's Python, and check its hashes.

    Raises SetupError where pip is missing or fails.
    """
    if importlib.util.find_spec("pip") is None:
        raise SetupError(
            "pip, which downloads the serving image's wheels, is not installed",
            f"{sys.executable} -m ensurepip",
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input"),
        *("--implementation", "cp", "--python-version", PYTHON_VERSION),
        *(word for name in _PLATFORMS for word in ("--platform", f"{name}_x86_64")),
        *("--dest", str(directory), "--requirement", str(requirements)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"the serving image's wheels could not be downloaded:\n{done.stderr.strip()}",
            "check that pip can reach a package index from here",
        )
    return sorted(directory.glob("*.whl"))


def kept_members(wheel: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """The files of `wheel` that the image needs, by their path in site-packages."""
    for member in wheel.infolist():
        path = PurePosixPath(member.filename)
        if member.is_dir() or path.parts[0].endswith(".data"):
            continue  # scripts and headers
        if path.parts[0] == "tensorflow":
            if _TENSORFLOW.fullmatch(member.filename):
                yield member
        elif path.parts[0] == "onnxruntime":
            if _ONNX_RUNTIME.fullmatch(member.filename):
                yield member
        elif not _UNUSED.search(member.filename):
            yield member

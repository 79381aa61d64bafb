"""The process that loads a model and answers once: `python -m tuner.serving.first_run_process DIR`.

It reads bodies of `:predict` as lines of standard input and writes their answers as lines of
standard output. At the end it writes a verdict: null, or the loader's words and the number of the
request.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tuner.serving.server import codec
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel

VERDICT = "verdict"


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    number: int | None = None
    verdict: str | None = None
    try:
        with SavedModel(Path(sys.argv[1])) as model:
            for number, line in enumerate(sys.stdin.buffer):  # noqa: B007 -- told below
                request = codec.decode(codec.parse(line), model.signatures)
                outputs = model.run(request.signature, request.inputs)
                sys.stdout.buffer.write(codec.encode(outputs, row=request.row) + b"\n")
    except StatusError as error:
        verdict = f"{error.code.name}: {error.message}"
    sys.stdout.buffer.write(json.dumps({VERDICT: verdict, "request": number}).encode() + b"\n")


if __name__ == "__main__":
    main()

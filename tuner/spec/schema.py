"""`python -m tuner.spec.schema` writes JSON Schemas of the three YAML documents, for editors.

A JSON Schema cannot express what depends on the host or on several keys. `tune` checks that itself.
"""

from __future__ import annotations

import json
from pathlib import Path

from tuner.spec.yaml_documents import Document, ModelDocument, SearchSpaceDocument, StudyDocument

DOCUMENTS: dict[str, type[Document]] = {
    "study": StudyDocument,
    "search_space": SearchSpaceDocument,
    "model": ModelDocument,
}


def schema(name: str) -> str:
    """The JSON Schema of a document (a key of `DOCUMENTS`) as text."""
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **DOCUMENTS[name].model_json_schema(),
        "title": name.replace("_", " "),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def write_schemas(directory: Path) -> list[Path]:
    """Write every schema as `<name>.json` and return the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.json" for name in DOCUMENTS]
    for path in paths:
        path.write_text(schema(path.stem), encoding="utf-8")
    return paths


if __name__ == "__main__":
    write_schemas(Path("schema"))

"""What is generated from the documents is current: the JSON Schemas and the reference page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tuner.spec import study_tables
from tuner.spec.built_in import BUILT_INS
from tuner.spec.metrics import METRICS
from tuner.spec.schema import DOCUMENTS, schema
from tuner.spec.yaml_documents import ParameterDocument, StudyDocument

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_committed_schema_is_current(name: str) -> None:
    committed = (CHECKOUT / "schema" / f"{name}.json").read_text(encoding="utf-8")
    assert committed == schema(name), "run `python -m tuner.spec.schema`"


def test_reference_page_is_current() -> None:
    page = (CHECKOUT / study_tables.STUDY_PAGE).read_text(encoding="utf-8")
    assert page == study_tables.renewed_study_page(page), "run `python -m tuner.spec.study_tables`"


def test_reference_page_has_every_key_with_its_meaning() -> None:
    page = (CHECKOUT / study_tables.STUDY_PAGE).read_text(encoding="utf-8")
    for document in (StudyDocument, ParameterDocument):
        for key, field in document.model_fields.items():
            assert f"| `{key}` |" in page
            assert field.description
            assert " ".join(field.description.split()) in page
    assert all(f"| `{name}` |" in page for name in (*METRICS, *BUILT_INS))


@pytest.mark.parametrize("module", ["tuner.spec.schema", "tuner.spec.study_tables"])
def test_what_generates_them_can_be_run(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

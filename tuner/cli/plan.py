"""`tune plan`: what a study would take."""

from __future__ import annotations

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    JsonOption,
    StorageOption,
    StudyOption,
    opened,
)
from tuner.cli.output import print_json


def plan(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    as_json: JsonOption = False,
) -> None:
    """Estimate how long the full grid would take, and how long the budget will take.

    Example: tune plan --study mnist
    """
    from tuner.export.verb_documents import plan_document
    from tuner.pages.plan_page import plan_blocks
    from tuner.render.terminal import show

    chosen = opened(study, storage, backend)
    estimated = chosen.plan()
    if as_json:
        print_json(plan_document(chosen.specification, estimated))
    else:
        show(*plan_blocks(chosen.specification, estimated, chosen.selecting()))

"""`tune list`: which studies there are."""

from __future__ import annotations

from tuner.cli.options import JsonOption, StorageOption
from tuner.cli.output import print_json


def list_(storage: StorageOption = None, as_json: JsonOption = False) -> None:
    """List the studies that you can run, and how many trials each has.

    Example: tune list
    """
    from tuner.export.verb_documents import list_document
    from tuner.pages.studies_page import study_table
    from tuner.render.terminal import show
    from tuner.spec import load
    from tuner.study.storage import found_studies

    urls = [storage] if storage else None
    held = found_studies(load.list_studies(), load.results_directory, urls)
    if as_json:
        print_json(list_document(held))
    else:
        show(study_table(held))

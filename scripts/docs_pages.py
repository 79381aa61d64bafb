"""What `mkdocs` does for the site beyond mkdocs.yml.

Some pages stand outside `docs/`, where readers of a repository look for them. A link in a page is
written for the repository; in the site it leads to the page made of that file, and where there is
none it is left as text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""File of the repository: its page, below `docs/`."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    del config, files
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, page: str) -> str:
    """The text of a page, with links as the site has them. `page` is its path below `docs/`."""
    sources = {made: source for source, made in PAGES.items()}
    folder = posixpath.dirname(sources.get(page, f"docs/{page}"))

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if (ROOT / path / "README.md").is_file():
            path += "/README.md"
        if path in PAGES:
            path = PAGES[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif (ROOT / path).exists():
            return text.strip("[]") if text.startswith("[") else match[0]
        return f"{text}({posixpath.relpath(path, posixpath.dirname(page))}{anchor or ''})"

    return re.sub(r"(!?\[[^\[\]]*\])\((?![a-z]+:|#)([^()#\s]+)(#[^()\s]*)?\)", link, markdown)

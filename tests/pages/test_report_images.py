from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.pages.conftest import HOSTILE
from tuner.errors import InputError
from tuner.pages import theme
from tuner.pages.blocks import Figure, Page, Section, Table
from tuner.render.images import WIDTH, write_figures


def page(text: str = "a") -> Page:
    plot = theme.plot(x="ART (ms)", y=f"CPU usage {text}", height=300)
    plot.add_scatter(x=[1, 2], y=[1, 2], name=text)
    figures = tuple(
        Figure(name, text, text, plot, Table((text,), ())) for name in ("front", "trial-1")
    )
    return Page("t", "s", (Section("a", "A", figures[:1]),), (Section("b", "B", figures[1:]),))


@pytest.mark.usefixtures("chromium")
def test_every_figure_becomes_a_drawing(tmp_path: Path) -> None:
    written = write_figures(page(HOSTILE), tmp_path / "new" / "figures", "svg")
    assert [path.name for path in written] == ["front.svg", "trial-1.svg"]
    assert sorted(path.name for path in written[0].parent.iterdir()) == ["front.svg", "trial-1.svg"]
    root = ET.parse(written[0]).getroot()
    assert (root.get("width"), root.get("height")) == (str(WIDTH), "300")
    texts = "".join(root.itertext())
    assert "ART (ms)" in texts
    assert "<script>window.__pwned=1</script>" in texts
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not kinds & {"script", "a", "image", "foreignObject"}


@pytest.mark.usefixtures("chromium")
def test_an_image_for_print_has_twice_as_many_points(tmp_path: Path) -> None:
    (first, _) = write_figures(page(), tmp_path, "png")
    head = first.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert struct.unpack(">II", head[16:]) == (2 * WIDTH, 600)


def test_without_a_browser_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="Chromium") as refused:
        write_figures(page(), tmp_path / "figures", "svg")
    assert "install" in refused.value.mend
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--figures"):
        write_figures(page(), tmp_path / "file", "svg")

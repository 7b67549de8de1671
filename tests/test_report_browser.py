"""The report's page in a browser: it renders, prints, asks for nothing, and runs nobody's script.

Chromium is used where it is installed; everything else about the page is in test_report.py.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser, browser
from tests.report_folder import HOSTILE, fill_with_hostile_names, report_folder

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CONTRASTS = """
(() => {
  const luminance = color => {
    const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(each => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll("body *")]
    .filter(each => [...each.childNodes].some(child => child.nodeType == 3 && child.data.trim()))
    .map(each => luminance(getComputedStyle(each).color))
    .map(ink => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
})()
"""
READABLE = 4.5  # WCAG 2.2, 1.4.3


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a folder with hostile names."""
    path = tmp_path_factory.mktemp("report")
    with report_folder(path / "folder", profiles=30) as folder:
        fill_with_hostile_names(folder)
        (path / "report.html").write_text(folder.page(), encoding="utf-8")
    return path / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Browser:
    chromium.emulate()
    chromium.open(page)
    return chromium


def background(shown: Browser) -> str:
    found: str = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def test_the_page_renders(opened: Browser) -> None:
    assert opened.evaluate("document.querySelector('h1').textContent") == "Backup report"
    charts = opened.evaluate(
        "[...document.querySelectorAll('figure svg')].map(each => each.getBoundingClientRect())"
        ".map(each => Math.min(each.width, each.height))"
    )
    assert len(charts) == 1
    assert min(charts) > 50


def test_the_page_puts_nothing_on_the_console_and_asks_for_nothing(
    opened: Browser, page: Path
) -> None:
    assert opened.complaints == []
    assert opened.requests == [page.as_uri()]


def test_hostile_names_are_text_and_nothing_else(opened: Browser) -> None:
    harmful = "script, img, iframe, object, embed, link, base, form, input, [onload], [onerror]"
    assert opened.evaluate(f"document.querySelectorAll('{harmful}').length") == 0
    names = opened.evaluate("[...document.querySelectorAll('bdi')].map(each => each.textContent)")
    assert set(HOSTILE[:3]) <= set(names)
    assert r"gnp\u202eexe.\x1b[31m\n\u2028" in names


def test_what_is_smuggled_in_is_stopped_by_the_policy_and_noticed_here(
    chromium: Browser, page: Path
) -> None:
    smuggled = (
        "<script>document.title = 'owned'</script><style>h1 { color: red }</style>"
        "<img src='data:,' onerror=\"document.title = 'owned'\"><p style='color: red'>"
    )
    altered = page.with_name("altered.html")
    altered.write_text(page.read_text("utf-8").replace("<main>", f"<main>{smuggled}"), "utf-8")
    chromium.open(altered)
    assert chromium.evaluate("document.title") != "owned"
    refused = "".join(each["entry"]["text"] for each in chromium.complaints)
    assert refused.count("Content Security Policy") >= 4


def test_light_and_dark_follow_the_system_and_all_text_is_readable_in_both(
    opened: Browser,
) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        opened.emulate(scheme=scheme)
        contrasts = opened.evaluate(CONTRASTS)
        assert len(contrasts) > 100
        assert min(contrasts) >= READABLE, scheme
        seen[scheme] = background(opened)
    assert seen == {"light": "rgb(252, 251, 248)", "dark": "rgb(23, 24, 27)"}


def test_it_prints_on_white_paper_whatever_the_scheme(opened: Browser) -> None:
    opened.emulate(media="print", scheme="dark")
    assert background(opened) == "rgb(255, 255, 255)"
    assert min(opened.evaluate(CONTRASTS)) >= READABLE
    opened.emulate(scheme="dark")
    printed = base64.b64decode(opened.call("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF-")
    assert re.search(rb"/Count [1-9]", printed)


BROKEN_WORDS = r"""
[...document.querySelectorAll("th, td")]
  .filter(each => /^\w+$/.test(each.textContent) && !each.querySelector("bdi:not(.word)"))
  .filter(each => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return new Set([...range.getClientRects()].map(line => line.top)).size > 1;
  })
  .map(each => each.textContent)
"""


def test_a_narrow_screen_need_not_be_moved_sideways_and_breaks_no_word(opened: Browser) -> None:
    opened.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=800,
        deviceScaleFactor=1,
        mobile=True,
    )
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    assert opened.evaluate(BROKEN_WORDS) == []
    opened.call("Emulation.clearDeviceMetricsOverride")

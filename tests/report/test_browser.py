"""The page in a real browser: it renders, hovers, takes keys, and asks for nothing."""

import os
import shutil

import pytest
from report.records import CERTIFIED, COMPARISON, MANY, NOTHING_KNOWN, RESULT

from coreprune.report.context import Context
from coreprune.report.pruned import pruned_page
from coreprune.report.writing import write_figures, write_page

playwright = pytest.importorskip(
    "playwright.sync_api", reason="drives the browser: pip install coreprune[browser]"
)
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if root else []
        )
        yield started
        started.close()


@pytest.fixture
def shown(browser, tmp_path):
    """Opens a result's page; in the end nothing may have been asked for or complained of."""
    complaints, contexts = [], []

    def show(result=RESULT, *, viewport=WIDE, **options):
        context = Context(
            name="LeNet", kind="module", saved="small", comparison=COMPARISON, certified=CERTIFIED
        )
        path = tmp_path / "report.html"
        write_page(pruned_page(result.to_json(), context), path)
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(path.as_uri())
        assert complaints.pop(0) == path.as_uri()
        return page

    yield show
    assert complaints == []
    for context in contexts:
        context.close()


def tip(page):
    found = page.locator("#tip")
    return found.inner_text() if found.is_visible() else None


def curve(page):
    return page.locator(".wide svg.chart").first


def test_it_renders_with_its_style_and_no_complaint(shown):
    page = shown()
    assert page.locator("h1").inner_text() == "LeNet, 47.2\u202f% of its parameters"
    assert page.evaluate("getComputedStyle(document.querySelector('.curve')).fill") == "none"
    assert curve(page).bounding_box()["width"] > 600
    assert page.locator("svg.chart:visible").count() == 4


@pytest.mark.parametrize("result", [RESULT, NOTHING_KNOWN, MANY], ids=["plain", "bare", "many"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_wider_than_the_window(shown, result, viewport):
    page = shown(result, viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.locator(".narrow svg:visible").count() == (
        0 if viewport is WIDE else 4 if result.curve else 3
    )


def test_hovering_shows_the_nearest_point(shown):
    page = shown()
    curve(page).scroll_into_view_if_needed()
    dot = page.locator('.wide .mark[aria-label^="25.0"]').first
    box = dot.bounding_box()
    page.mouse.move(box["x"] + 9, box["y"] - 12)
    assert tip(page).splitlines()[:2] == ["25.0\u202f% of the parameters", "expected error 1.25"]
    page.mouse.move(5, 5)
    assert tip(page) is None


def test_what_is_said_stays_in_the_window(shown):
    page = shown(viewport=PHONE)
    marks = page.locator(".narrow .mark")
    for place in range(0, marks.count(), 3):
        marks.nth(place).focus()
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["y"] + box["height"] <= PHONE["height"]


def test_arrow_keys_move_along_the_curve_and_tab_leaves_it(shown):
    page = shown()
    page.keyboard.press("Tab")
    assert tip(page).splitlines() == ["47.2\u202f% of the parameters", "expected error 0.432"]
    page.keyboard.press("Home")
    assert tip(page).startswith("10.0\u202f%")
    page.keyboard.press("ArrowRight")
    assert tip(page).startswith("25.0\u202f%")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert tip(page).startswith("10.0\u202f%")
    page.keyboard.press("End")
    assert tip(page).startswith("100.0\u202f%")
    page.keyboard.press("Escape")
    assert tip(page) is None
    page.keyboard.press("Tab")  # the table of sizes
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Shift+Tab")
    assert tip(page).startswith("100.0\u202f%")


def test_a_chart_far_down_says_its_marks_when_the_page_scrolls_to_them(shown):
    page = shown(MANY)
    page.locator('.wide .mark[aria-label^="output 2"]').focus()
    page.wait_for_function("scrollY > 100")
    assert tip(page).startswith("output 2")


def test_without_scripts_points_still_have_titles(shown):
    page = shown(java_script_enabled=False)
    title = page.locator('.wide .mark[aria-label^="25.0"] title').first
    assert title.text_content().startswith("25.0\u202f% of the parameters")


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_it_follows_the_colour_scheme_with_readable_text(shown, scheme, bright):
    page = shown(color_scheme=scheme)
    read = "(name, of) => getComputedStyle(document.querySelector(of)).getPropertyValue(name)"
    paper = luminance(page.evaluate(f"({read})('background-color', 'body')"))
    assert (paper > 0.5) is bright
    for selector, name in (("body", "color"), (".detail", "color"), (".chart .axis text", "fill")):
        ink = luminance(page.evaluate(f"({read})('{name}', '{selector}')"))
        lighter, darker = max(ink, paper), min(ink, paper)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, selector  # WCAG 2, level AA


def luminance(color: str) -> float:
    """Relative luminance of an opaque `rgb(r, g, b)`, as WCAG defines it."""
    channels = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_it_prints_on_white_with_the_wide_drawings(shown, tmp_path):
    page = shown(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    page.set_viewport_size({"width": 500, "height": 700})
    assert page.locator(".wide svg:visible").count() == 4
    assert page.locator(".narrow svg:visible").count() == 0
    assert len(page.pdf(format="A4")) > 10_000


def test_a_drawing_stands_alone_as_a_file(browser, tmp_path):
    page = pruned_page(RESULT.to_json(), Context(name="LeNet", kind="module"))
    (path, *_) = write_figures(page, tmp_path / "figures")
    context = browser.new_context(viewport=WIDE)
    tab = context.new_page()
    requests = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(path.as_uri())
    assert tab.evaluate("getComputedStyle(document.querySelector('.curve')).fill") == "none"
    assert tab.evaluate("document.documentElement.tagName") == "svg"
    assert requests == [path.as_uri()]
    context.close()

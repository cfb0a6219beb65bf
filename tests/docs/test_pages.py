import re
import subprocess
import sys
from pathlib import Path

import pytest

import coreprune
from docs.generators import __main__ as generators
from docs.generators.blocks import BLOCK, filled
from docs.generators.picture import draw

ROOT = Path(__file__).parents[2]
PAGES = {str(page.relative_to(ROOT)): page for page in generators.PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_results_and_the_program_say(name):
    page = PAGES[name].read_text("utf-8")
    assert filled(page, generators.MAKERS) == page, "python -m docs.generators writes it anew"


def test_the_picture_is_what_the_results_say(tmp_path):
    draw(tmp_path / "picture.svg")
    drawn = (tmp_path / "picture.svg").read_bytes()
    assert drawn == generators.PICTURE.read_bytes(), "python -m docs.generators draws it anew"


def test_a_block_that_nothing_makes_is_refused():
    with pytest.raises(KeyError, match="nobody"):
        filled("<!-- made: nobody -->\n<!-- /made -->", {})


def test_every_maker_but_experiments_without_a_page_is_used():
    used = {found["name"] for page in PAGES.values() for found in BLOCK.finditer(page.read_text())}
    unused = set(generators.MAKERS) - used
    assert {name for name in unused if not name.startswith("experiment ")} == set()


def test_tables_tell_their_day_and_command():
    text = (ROOT / "README.md").read_text("utf-8")
    assert re.search(r"Measured \d{4}-\d\d-\d\d by `python -m experiments peers`\.", text)


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    missing = [
        name
        for name in coreprune.__all__
        if not re.search(rf"\.\. auto\w+:: (\S+\.)?{name}$", text, re.MULTILINE)
    ]
    assert missing == []


def anchors(page):
    """As GitHub and MyST make them of headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere():
    for name, page in PAGES.items():
        for target, place in re.findall(r"\]\(([^)#:\s]*)#?([^):\s]*)\)", page.read_text("utf-8")):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{name} links to {target}"
            assert not place or place in anchors(linked), f"{name} links to {target}#{place}"


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = [page.read_text("utf-8") for page in tmp_path.glob("*.html")]
    assert len(pages) > 10
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:[^\"]+)", "".join(pages))
    assert loaded == [], "pages must not load anything from other hosts"

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("theory*.md"))
NAMED = [
    named
    for page in PAGES
    for named in re.findall(r"`(tests/\S+\.py)::(\w+)`", page.read_text("utf-8"))
]


def test_every_test_that_the_theory_names_exists():
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert len(PAGES) == 5
    assert len(NAMED) > 100
    assert not missing

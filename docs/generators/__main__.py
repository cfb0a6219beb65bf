"""Make the generated parts of the documentation anew: `python -m docs.generators`."""

import functools
from pathlib import Path

from docs.generators.blocks import Make, filled
from docs.generators.command_line import command_line
from docs.generators.measured import benchmarks, experiment, peers
from docs.generators.picture import draw
from docs.generators.rest import other_names, other_pages
from experiments.__main__ import EXPERIMENTS

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PICTURE = ROOT / "docs" / "after-pruning.svg"
MAKERS: dict[str, Make] = {
    "peers": peers,
    "benchmarks": benchmarks,
    "command line": command_line,
    "other names": other_names,
    "other pages": other_pages,
    **{f"experiment {name}": functools.partial(experiment, name) for name in EXPERIMENTS},
}


def main() -> None:
    """Write every page whose blocks have changed, and the picture."""
    draw(PICTURE)
    for page in PAGES:
        old = page.read_text("utf-8")
        new = filled(old, MAKERS)
        if new != old:
            page.write_text(new, "utf-8")


if __name__ == "__main__":
    main()

"""The program's own description of its commands and options."""

import re
import subprocess
import sys


def command_line() -> str:
    """All commands in Markdown, from the program itself."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "coreprune.cli", "utils", "docs", "--name", "coreprune"],
        capture_output=True,
        check=True,
        text=True,
        encoding="utf-8",
    )
    _, _, commands = done.stdout.partition("\n## ")
    text = re.sub(r"^\* `--(install|show)-completion.*\n", "", f"## {commands}", flags=re.MULTILINE)
    return re.sub(r"\{(\w+)\}", r"\1", text)

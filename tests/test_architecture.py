"""Imports point one way: cli → prune → shells → graph, queries → core; report knows no models."""

import ast
from pathlib import Path

import pytest

import coreprune

SOURCE = Path(coreprune.__file__).parent
MODULES = {path.relative_to(SOURCE.parent): path for path in sorted(SOURCE.rglob("*.py"))}
RANKS = {
    "errors": 0,
    "records": 0,
    "progress": 0,
    "core": 1,
    "report": 1,
    "graph": 2,
    "queries": 2,
    "shells": 3,
    "sizes": 4,
    "laws": 4,
    "training": 4,
    "measured_error": 4,
    "opening": 4,
    "loading": 4,
    "budget": 5,
    "repair": 5,
    "finetune": 5,
    "result": 5,
    "inspection": 6,
    "compare": 6,
    "certificates": 6,
    "coresets": 6,
    "prospect": 7,
    "cutting": 7,
    "proof": 7,
    "pricing": 8,
    "repairing": 8,
    "certify": 8,
    "removal": 8,
    "certified_budget": 8,
    "error_budget": 8,
    "prune": 9,
    "folder_repair": 9,
    "verification": 9,
    "folder_prune_repair": 9.5,
    "public": 10,
    "": 11,  # has the public names
    "demo": 12,
    "commands": 13,
    "cli": 14,
}
"""A module imports its own package and those of lower rank; what is not named here is on top."""
FOREIGN_TO_CORE = {
    "nn",
    "onnx",
    "onnxruntime",
    "transformers",
    "safetensors",
    "pathlib",
    "json",
    "os",
}


def imported(path):
    """Every module or name that a file imports, dotted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package(parts):
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def rank(name):
    return RANKS.get(name, 15)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_down(module):
    own = package(module.parts)
    for name in imported(MODULES[module]):
        parts = name.split(".")
        if parts[0] != "coreprune":
            continue
        other = package(parts)
        same = own == other and rank(own) < 15
        assert same or rank(other) < rank(own), f"{module} imports {name}"


@pytest.mark.parametrize(
    "module", [m for m in MODULES if package(m.parts) in {"core", "graph"}], ids=str
)
def test_the_core_knows_no_modules_and_no_files(module):
    for name in imported(MODULES[module]):
        parts = name.split(".")
        functional = parts[:3] == ["torch", "nn", "functional"]
        assert functional or not FOREIGN_TO_CORE & set(parts), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_that_is_read_can_run(module):
    source = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    assert not {"eval", "exec", "pickle.load", "pickle.loads"} & {
        ast.unparse(c.func) for c in calls
    }
    for call in calls:
        if ast.unparse(call.func) == "torch.load":
            assert "weights_only=True" in map(ast.unparse, call.keywords)


def test_saved_models_are_no_pickles():
    path = SOURCE / "shells" / "torch_module" / "files.py"
    assert not any("pickle" in name for name in imported(path))
    assert "torch.load" not in path.read_text(encoding="utf-8")

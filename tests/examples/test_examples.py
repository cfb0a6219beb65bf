import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NEEDS = {
    "prune_an_onnx_file": ("onnx", "onnxruntime", "onnxscript"),
    "prune_a_hugging_face_folder": ("transformers",),
    "repair_without_data": ("accelerate",),
    "prune_then_quantise": ("torchao",),
}
SAYS = {
    "a_law_from_samples": "samples from a DataLoader: off by",
    "certify": "is attained",
    "prune_a_hugging_face_folder": "128 → 64 neurons",
    "prune_an_onnx_file": "200 → 100 neurons",
    "prune_then_quantise": "in eight bits",
    "prune_your_module": "a batch of eight gives (8, 10)",
    "repair_without_data": "repaired, loss",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs_and_says_what_it_found(script, capsys):
    for package in NEEDS.get(script.stem, ()):
        pytest.importorskip(package)
    runpy.run_path(str(script), run_name="__main__")
    assert SAYS[script.stem] in capsys.readouterr().out


def test_the_list_names_every_script():
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert [path.name for path in SCRIPTS if f"[{path.name}]({path.name})" not in listed] == []

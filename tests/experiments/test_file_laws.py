import onnx
import pytest
import torch
from torch import nn

from experiments.cifar import Pictures
from experiments.convolutional.networks import stand_in
from experiments.file_laws import run


def test_the_exporter_folds_every_normalisation(tmp_path):
    subject = stand_in()
    run.export(subject.model, path := tmp_path / "whole.onnx")
    assert all(node.op_type != "BatchNormalization" for node in onnx.load(path).graph.node)
    few = Pictures(images=subject.pictures().images[:50], labels=torch.arange(50))
    right = subject.model(few.images).argmax(1)
    assert run.accuracy(path, Pictures(images=few.images, labels=right)) == 1.0


def test_a_normalisation_that_is_left_is_an_error(tmp_path):
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)).eval()
    with pytest.raises(ValueError, match="the exporter left"):
        run.export(model, tmp_path / "whole.onnx")


def test_images_that_judge_are_none_that_a_law_has_seen():
    assert run.PLANNED + run.JUDGED <= 5000


def test_the_table_shows_every_law_and_a_dash_where_nothing_was_measured():
    results = {
        "rows": [{"law": "dead leaves", "keep": 0.5, "accuracy": 12.35}],
        "judged": 400, "whole": 99.5, "data": "noise", "coreprune": "0", "torch": "0",
    }  # fmt: skip
    lines = run.table(results).splitlines()
    assert "| dead leaves | – | 12.35 |" in lines
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(run.LAWS)

import torch
from torch import nn

from experiments.convolutional.networks import stand_in
from experiments.image_laws import run


def test_folding_changes_no_output_and_leaves_no_normalisation():
    model = stand_in().model
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.running_mean.normal_()
    x = torch.randn(3, 3, 32, 32)
    plain = run.folded(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    torch.testing.assert_close(plain(x), model(x), rtol=1e-4, atol=1e-4)


def test_images_that_judge_are_none_that_a_law_has_seen():
    assert run.PLANNED + run.JUDGED <= 5000


def test_the_table_shows_every_case_and_a_dash_where_nothing_was_measured():
    row = {"network": run.FOLDED, "law": "dead leaves", "keep": 0.5, "accuracy": 12.35}
    results = {
        "rows": [row], "judged": 400, "whole": 99.5, "data": "noise",
        "coreprune": "0", "torch": "0",
    }  # fmt: skip
    lines = run.table(results).splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(run.CASES)
    assert "| folded | dead leaves | – | 12.35 |" in lines

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from coreprune.queries.batch_norm import BatchNormMatched
from experiments.__main__ import HERE
from experiments.lenet import num_parameters
from experiments.vgg_cifar import VGG
from experiments.vgg_dense import run, tuning
from experiments.vgg_dense.features import Normalised, features_of, noise_features
from experiments.vgg_dense.heads import L1, OPTIMAL, ROWS, SCRATCH, WHOLE, heads, pruned
from experiments.vgg_dense.shuffled import Shuffled

LAW = BatchNormMatched(examples=200, batch=200, steps=1)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VGG((8, 0, 8, 0, 8, 0, 8, 0, 16, 0), (12, 12)).eval()


@pytest.fixture(scope="module")
def small(model):
    return pruned(model, removed=0.5, queries=LAW, folder=None)[0]


def widths(head):
    return [layer.out_features for layer in head.modules() if isinstance(layer, nn.Linear)]


def test_the_budget_is_one_of_the_dense_part_and_convolutions_stay(model, small):
    kept = num_parameters(small.classifier) / num_parameters(model.classifier)
    assert 0.3 < kept <= 0.5
    before = model.features.state_dict()
    assert all(value.equal(before[key]) for key, value in small.features.state_dict().items())


def test_a_pruned_network_is_kept_and_taken_up_again(model, tmp_path):
    first, seconds = pruned(model, removed=0.5, queries=LAW, folder=tmp_path / "pruned")
    again, none = pruned(model, removed=0.5, queries=LAW, folder=tmp_path / "pruned")
    assert seconds > 0
    assert none is None
    x = torch.randn(2, 3, 32, 32)
    assert again.eval()(x).equal(first(x))


def test_all_small_dense_parts_have_the_widths_of_the_pruned_one(model, small):
    found = heads(model, small)
    assert tuple(found) == ROWS
    assert found[WHOLE] is model.classifier
    assert widths(found[OPTIMAL]) == widths(found[L1]) == widths(found[SCRATCH])
    rows = torch.rand(3, 16)
    assert not found[L1](rows).equal(found[SCRATCH](rows))


def test_features_and_dense_part_are_the_network(model, tmp_path, monkeypatch):
    images = torch.randn(5, 3, 32, 32)
    given = {"folder": tmp_path, "name": "noise"}
    rows = features_of(model, images.split(2), **given)
    torch.testing.assert_close(model.classifier(rows), model(images))
    monkeypatch.setattr(model, "flatten", None)  # nothing is computed again
    assert features_of(model, images.split(2), **given).equal(rows)
    assert len(list(tmp_path.iterdir())) == 3


def test_pictures_are_normalised_part_by_part():
    pixels = torch.randint(256, (2501, 2, 2, 3), dtype=torch.uint8)
    found = list(Normalised(pixels))
    assert [len(part) for part in found] == [2500, 1]
    assert found[1].shape == (1, 3, 2, 2)


def test_every_row_comes_once_an_epoch_in_an_order_of_the_seed():
    rows, labels = torch.arange(10.0)[:, None], torch.arange(10)
    loader, again = (Shuffled(rows, labels, batch_size=4, seed=1) for _ in range(2))
    first, second = list(loader), list(loader)
    assert len(first) == len(loader) == 3
    order = torch.cat([names for _, names in first])
    assert order.sort().values.equal(labels)
    assert torch.cat([given for given, _ in first]).flatten().long().equal(order)
    assert not torch.cat([names for _, names in second]).equal(order)
    assert torch.cat([names for _, names in again]).equal(order)


@pytest.fixture
def work(model, tmp_path):
    rows, labels = noise_features(16, count=60, seed=0)
    plan = replace(run.QUICK, seeds=(0, 1), held_back=20, batch_size=16, folder=tmp_path)
    return tuning.Work(model=model, rows=rows, labels=labels, source="noise", plan=plan)


def test_the_held_back_rows_choose_the_setting_and_are_not_trained_on(work, small, monkeypatch):
    seen = []
    errors = {1.0: 90.0, 0.5: 80.0}
    found = iter(errors.values())

    def finetune(head, loader, *, teacher, settings, held_back):
        seen.append((len(loader.rows), len(held_back[0][1]), teacher, settings.label_share))
        return type("Tuned", (), {"model": head, "stopped": "done"})

    monkeypatch.setattr(tuning, "finetune", finetune)
    monkeypatch.setattr(tuning, "error", lambda *_: next(found, 0.0))
    best = tuning.best_heads(OPTIMAL, small.classifier, work)
    teacher = work.model.classifier
    assert seen == [(40, 20, None, 1.0), (40, 20, teacher, 0.5), (40, 20, teacher, 0.5)]
    assert (best["label_share"], best["held_back"], len(best["heads"])) == (0.5, 80.0, 2)


def test_tuned_dense_parts_are_kept_and_taken_up_again(work, small, monkeypatch):
    first = tuning.best_heads(OPTIMAL, small.classifier, work)
    monkeypatch.setattr(tuning, "finetune", None)
    again = tuning.best_heads(OPTIMAL, small.classifier, work)
    for one, other in zip(first["heads"], again["heads"], strict=True):
        assert one(work.rows).equal(other(work.rows))
    assert not first["heads"][0](work.rows).equal(small.classifier(work.rows))


def test_an_interrupted_fine_tuning_is_no_result(work, small, monkeypatch):
    stopped = type("Tuned", (), {"model": small.classifier, "stopped": "interrupted"})
    monkeypatch.setattr(tuning, "finetune", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt):
        tuning.best_heads(OPTIMAL, small.classifier, work)
    assert not list(work.plan.folder.iterdir())


def test_the_table_compares_with_what_the_same_fine_tuning_gives_others():
    results = json.loads((HERE / "vgg_dense" / "results.json").read_text())
    for entry in results["runs"]:
        entry["error"] = 9.0
        entry["tuned"] = {OPTIMAL: [8.0, 8.1, 8.2], WHOLE: [8.0, 8.2, 8.1]}.get(
            entry["name"], [9.0, 9.1, 9.2]
        )
    text = run.table(results)
    assert "against the network before: error lower (-0.90" in text
    assert "against that network fine-tuned alike: not told apart (+0.00" in text
    assert "against the small network from the start: error lower (-1.00" in text

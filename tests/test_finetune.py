import itertools
import sys

import pytest
import torch
from network_asserts import snapshot
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coreprune import ArgumentError, prune
from coreprune.finetune import Finetuning, finetune
from coreprune.training.loop import Training

pytest.importorskip("accelerate")


def pair():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3))
    return model, prune(model, torch.ones(1, 6), keep=0.25).model


def examples(seed=0, *, count=256):
    images = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return images, images[:, :3].argmax(1)


def loader(seed=0, *, labels=True):
    images, classes = examples()
    return DataLoader(
        TensorDataset(images, classes) if labels else TensorDataset(images),
        batch_size=32,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )


def settings(**changes):
    defaults = {"steps": 60, "check_every": 10, "learning_rate": 1e-2}
    return Finetuning(**{**defaults, **changes})


def equal(one, other):
    tensors = (net.state_dict().values() for net in (one, other))
    return all(itertools.starmap(torch.equal, zip(*tensors, strict=True)))


@torch.no_grad()
def accuracy(model):
    images, classes = examples(1)
    return float((model(images).argmax(1) == classes).float().mean())


@torch.no_grad()
def distance(model, teacher):
    """Of the logits but for what all classes share, which no probability depends on."""
    one, other = (net(examples(1)[0]) for net in (model, teacher))
    centred = (one - one.mean(1, keepdim=True)) - (other - other.mean(1, keepdim=True))
    return float(centred.square().mean())


def test_labels_teach_it():
    _, small = pair()
    result = finetune(small, loader(), settings=settings(steps=200))
    assert accuracy(small) < 0.6
    assert accuracy(result.model) > 0.8
    assert (result.steps, result.best_step, result.loss_after) == (200, 200, None)


@pytest.mark.parametrize("temperature", [1.0, 4.0, None])
@pytest.mark.parametrize("labels", [False, True])
def test_the_original_teaches_it(temperature, labels):
    model, small = pair()
    result = finetune(
        small,
        loader(labels=labels),
        teacher=model,
        settings=settings(steps=200, temperature=temperature, label_share=0.0),
    )
    assert distance(result.model, model) < 0.8 * distance(small, model)


def test_labels_and_the_original_together_are_between_the_two():
    model, small = pair()
    share = {
        share: finetune(small, loader(), teacher=model, settings=settings(label_share=share)).model
        for share in (0.0, 0.5, 1.0)
    }
    assert distance(share[0.0], model) < distance(share[0.5], model) < distance(share[1.0], model)
    assert accuracy(share[0.0]) < accuracy(share[0.5])
    alone = finetune(small, loader(), settings=settings()).model
    assert equal(share[1.0], alone)


def test_nothing_of_the_caller_s_is_touched():
    model, small = pair()
    small.train()
    before = snapshot(model), snapshot(small)
    result = finetune(small, loader(), teacher=model, settings=settings())
    assert (snapshot(model), snapshot(small)) == before
    assert result.model.training


def test_held_back_batches_choose_the_best_weights_and_stop_it():
    _, small = pair()
    result = finetune(
        small,
        loader(),
        held_back=[examples(1)],
        settings=settings(steps=5000, learning_rate=0.5, patience=3),
    )
    assert result.stopped == "no better for 30 steps"
    assert result.steps == result.best_step + 30
    loss = nn.functional.cross_entropy(result.model(examples(1)[0]), examples(1)[1])
    torch.testing.assert_close(loss.item(), result.loss_after)


def test_without_held_back_batches_the_last_weights_are_the_result():
    _, small = pair()
    short = finetune(small, loader(), settings=settings(steps=64, check_every=64))
    looked = finetune(small, loader(), settings=settings(steps=64, check_every=3, patience=1))
    assert equal(short.model, looked.model)
    assert looked.best_step == 64


def interrupting(step):
    def tell(what, done, of):
        if done == step:
            raise KeyboardInterrupt

    return tell


def test_resuming_with_a_seeded_loader_gives_what_was_never_interrupted(tmp_path):
    model, small = pair()
    whole = finetune(small, loader(), teacher=model, settings=settings())
    with_state = settings(directory=tmp_path / "state")
    stopped = finetune(
        small, loader(), teacher=model, settings=with_state, progress=interrupting(35)
    )
    assert (stopped.stopped, stopped.steps) == ("interrupted", 30)
    resumed = finetune(small, loader(), teacher=model, settings=with_state)
    assert equal(resumed.model, whole.model)
    with pytest.raises(ArgumentError, match="other data, teacher; name another"):
        finetune(small, loader(1), settings=with_state)


def test_an_iterator_that_ends_early_is_no_error():
    _, small = pair()
    result = finetune(small, iter([examples()] * 7), settings=settings())
    assert (result.steps, result.stopped) == (7, "the batches ended after 7 steps")


@pytest.mark.parametrize("data", [[], iter([])])
def test_data_without_a_batch_are_refused(data):
    with pytest.raises(ArgumentError, match="at least one batch, got none"):
        finetune(pair()[1], data, settings=settings())


class Named(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images, *, shift=0.0):
        return {"hidden": None, "logits": self.inner(images + shift)}


@pytest.mark.parametrize(
    "inputs",
    [lambda x: x, lambda x: (x,), lambda x: {"images": x, "shift": x / 9}],
    ids=["tensor", "positional", "named"],
)
def test_inputs_are_a_tensor_positional_or_named_arguments(inputs):
    _, small = pair()
    images, classes = examples()
    result = finetune(Named(small), [(inputs(images), classes)], settings=settings(steps=100))
    assert accuracy(result.model.inner) > accuracy(small)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([torch.ones(2, 6)], "where there is no teacher; pass teacher=original"),
        ([(torch.ones(2, 5), torch.zeros(2).long())], r"every batch must run .*\(2, 5\)"),
        ([(torch.ones(2, 6), torch.zeros(3).long())], r"labels must be .* of shape \(3,\)"),
        ([(torch.ones(2, 6), torch.full((2,), 3))], "labels must be what cross_entropy takes"),
        ([(torch.ones(2, 6), [0, 1])], "labels as a tensor, got list"),
        ([(torch.ones(2, 6), torch.zeros(2).long(), 3)], "got 3 things; put several inputs"),
        (["text"], "got str; collate"),
        (torch.ones(2, 6), "data must be an iterable of batches, got Tensor; pass a DataLoader"),
        (5, "data must be an iterable of batches, got int"),
        ([(torch.full((2, 6), torch.nan), torch.zeros(2).long())], None),
    ],
)
def test_data_that_do_not_fit_are_refused(data, message):
    _, small = pair()
    if message is None:
        result = finetune(small, data, settings=settings())
        assert result.stopped.startswith("the loss was not finite at step 1")
        assert equal(result.model, small)
        return
    with pytest.raises(ArgumentError, match=message):
        finetune(small, data, settings=settings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "steps or seconds must be given, got neither"),
        ({"steps": 1, "temperature": 0.0}, "temperature must be positive and finite, or None"),
        ({"steps": 1, "label_share": 1.5}, r"label_share must be in \[0, 1\], got 1.5"),
        ({"steps": 1, "temperature": "4"}, "temperature must be positive and finite, or None"),
        ({"steps": 1, "label_share": "1"}, r"label_share must be in \[0, 1\], got '1'"),
        ({"steps": 1, "directory": 5}, "directory must be a path, got 5"),
    ],
)
def test_settings_that_break_a_rule_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Finetuning(**arguments)


def test_settings_of_another_kind_are_refused():
    with pytest.raises(ArgumentError, match=r"must be coreprune\.Finetuning\(\.\.\.\), got T"):
        finetune(pair()[1], [examples()], settings=Training(steps=1))


@pytest.mark.parametrize("tail", [nn.Identity(), nn.Flatten(0)])
def test_one_number_an_example_has_no_temperature(tail):
    model = nn.Sequential(nn.Linear(6, 1), tail)
    with pytest.raises(ArgumentError, match="for regression pass temperature=None"):
        finetune(model, [torch.ones(2, 6)], settings=settings(), teacher=model)


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(ArgumentError, match="teacher must give outputs of the student's shapes"):
        finetune(pair()[1], [torch.ones(2, 6)], settings=settings(), teacher=nn.Linear(6, 1))


def test_every_epoch_opens_the_data_once():
    class Counted(list):
        opened = 0

        def __iter__(self):
            Counted.opened += 1
            return super().__iter__()

    finetune(pair()[1], Counted([examples()] * 2), settings=settings(steps=6))
    assert Counted.opened == 3


def test_without_accelerate_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ArgumentError, match=r'pip install "coreprune\[train\]"'):
        finetune(pair()[1], loader(), settings=settings())

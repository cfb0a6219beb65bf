"""Random tokens for modules and files that look their inputs up in tables."""

import itertools

import pytest
import torch
from shells.onnx_file.graphs import exported
from torch import nn

import coreprune
from coreprune import ArgumentError, Tokens
from coreprune.commands.option_values import law_of
from coreprune.laws.calls import calls_of
from coreprune.laws.choice import choose_law
from coreprune.opening import network_of
from coreprune.shells.onnx_file.writing import write


class Reader(nn.Module):
    """A bag of tokens with kinds, a mask and lengths."""

    def __init__(self, rows=50):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.kinds = nn.Embedding(rows, 8), nn.Embedding(2, 8)
        self.a, self.b = nn.Linear(8, 20), nn.Linear(20, 3)

    def forward(self, ids, mask, kinds, gain):
        read = self.table(ids) + self.kinds(kinds)
        given = self.b(self.a(read).relu())
        return (given * mask.unsqueeze(-1)).sum(1) * gain


IDS = torch.ones(1, 6, dtype=torch.int64)
EXAMPLE = IDS, IDS.clone(), 0 * IDS, torch.full((1, 1), 0.5)
NAMES = ["ids", "mask", "kinds", "gain"]
OPEN = {name: {0: "batch"} for name in NAMES} | {
    name: {0: "batch", 1: "length"} for name in NAMES[:3]
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("tokens") / "net.onnx"
    write(exported(Reader(), EXAMPLE, input_names=NAMES, dynamic_axes=OPEN), file)
    return file


@pytest.fixture(params=["module", "file"])
def model(request, path):
    return Reader() if request.param == "module" else path


def first_call(law, subject, seed=0):
    return next(calls_of(law, subject, seed=seed))


def test_the_tables_tell_how_many_tokens_there_are(model):
    assert dict(network_of(model, EXAMPLE).tables) == {0: 50, 2: 2}


def test_keyword_inputs_are_told_apart():
    ids, mask, kinds, gain = EXAMPLE
    given = {"gain": gain, "kinds": kinds, "ids": ids, "mask": mask}
    subject = network_of(Reader(), (), example_kwargs=given)
    names = list(given)
    assert {names[place]: rows for place, rows in subject.tables.items()} == {"ids": 50, "kinds": 2}


def test_ids_are_uniform_masks_are_ones_and_the_rest_stays(model):
    subject = network_of(model, EXAMPLE)
    ids, mask, kinds, gain = first_call(Tokens(), subject).tensors()
    assert len(ids) > 100
    assert {one.shape for one in (ids, mask, kinds)} == {ids.shape}
    shares = ids.flatten().bincount(minlength=50) / ids.numel()
    # Five deviations of a share: a false alarm in a million seeds.
    torch.testing.assert_close(shares, torch.full((50,), 0.02), atol=5 * 0.14 / 4000**0.5, rtol=0)
    assert mask.unique().tolist() == [1]
    assert kinds.unique().tolist() == [0, 1]
    assert gain.unique().tolist() == [0.5]


def test_the_seed_decides_and_length_is_as_asked(model):
    subject = network_of(model, EXAMPLE)
    one, other = (first_call(Tokens(length=9), subject, seed) for seed in (0, 1))
    assert one.tensors()[0].shape[1] == one.tensors()[1].shape[1] == 9
    assert not torch.equal(one.tensors()[0], other.tensors()[0])
    assert int(first_call(Tokens(vocabulary=7), subject).tensors()[0].max()) == 6


def test_a_module_of_one_batch_gets_its_own():
    class Fixed(Reader):
        def forward(self, ids, mask, kinds, gain):
            return super().forward(ids.view(1, 6), mask, kinds, gain)

    subject = network_of(Fixed(), EXAMPLE)
    calls = itertools.islice(calls_of(Tokens(), subject, seed=0), 3)
    assert [call.tensors()[0].shape for call in calls] == [(1, 6)] * 3


def test_it_is_chosen_for_tokens_and_named_in_the_result(model):
    result = coreprune.prune(model, EXAMPLE, keep=0.5)
    assert result.law == (
        "random tokens below 50, sampled; because the network looks its inputs up in a table"
    )
    assert result.query_space.endswith("on the example inputs and random tokens below 50")
    assert result.measured_error < result.output_spread


def test_files_and_modules_are_pruned_alike(path):
    kept = [
        coreprune.prune(one, EXAMPLE, keep=0.5, method="magnitude").groups[0].kept
        for one in (Reader(), path)
    ]
    assert kept[0] == kept[1]


def test_floating_inputs_have_their_own_laws():
    net = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
    subject = network_of(net, torch.ones(1, 4))
    assert not subject.tables
    assert not isinstance(choose_law(None, subject, ()).law, Tokens)
    with pytest.raises(ArgumentError, match="needs whole numbers as the first input"):
        coreprune.prune(net, torch.ones(1, 4), keep=0.5, queries=Tokens())


def test_what_cannot_be_drawn_is_refused(model):
    with pytest.raises(ArgumentError, match="vocabulary must be at most 50, the rows"):
        coreprune.prune(model, EXAMPLE, keep=0.5, queries=Tokens(vocabulary=51))


def test_a_length_that_does_not_run_is_refused():
    class Long(Reader):
        def forward(self, ids, mask, kinds, gain):
            return super().forward(ids.view(-1, 6), mask.view(-1, 6), kinds.view(-1, 6), gain)

    with pytest.raises(ArgumentError, match="must run through the model"):
        coreprune.prune(Long(), EXAMPLE, keep=0.5, queries=Tokens(length=7))


def test_whole_numbers_without_a_table_need_a_vocabulary():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 20), nn.Linear(20, 3)

        def forward(self, ids):
            return self.b(self.a(ids.float()).relu())

    with pytest.raises(ArgumentError, match="no table is seen in which Dense"):
        coreprune.prune(Dense(), IDS, keep=0.5, queries=Tokens())
    result = coreprune.prune(Dense(), IDS, keep=0.5, queries=Tokens(vocabulary=9))
    assert result.law.startswith("random tokens below 9, sampled")


@pytest.mark.parametrize(
    ("words", "law"),
    [
        ("tokens", Tokens()),
        ("tokens:100", Tokens(vocabulary=100)),
        ("tokens:100:16", Tokens(vocabulary=100, length=16)),
    ],
)
def test_the_command_line_names_it(words, law):
    assert law_of(words) == law


@pytest.mark.parametrize("words", ["tokens:2.5", "tokens:0", "tokens:1:2:3"])
def test_the_command_line_refuses_other_numbers(words):
    with pytest.raises(ArgumentError):
        law_of(words)

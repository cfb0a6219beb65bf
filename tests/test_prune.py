import copy
import dataclasses
import functools
import importlib
import itertools
import json
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from convolutional import CONVOLUTIONAL
from network_asserts import Snapshot, assert_same_outputs, snapshot, zeroed
from networks import CASES as DENSE
from networks import Case, Counting, Forward, draw, mlp, named, trained_norm
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, TensorDataset

from coreprune import (
    ArgumentError,
    Ball,
    Box,
    Budget,
    Gaussian,
    Impressions,
    PruneResult,
    Samples,
    Sphere,
    UnsupportedModelError,
    layer_coreset,
    load,
    prune,
)
from coreprune.certificates.of_cut import CutCertificate
from coreprune.core.activations import relu
from coreprune.core.coreset import METHODS
from coreprune.core.selection.paths import PATH_METHODS
from coreprune.proof import Proof
from coreprune.records import UNCHANGED
from coreprune.report.sentences import sentences
from coreprune.shells.calls import Call
from coreprune.shells.torch_module.flops import flops
from coreprune.shells.torch_module.subject import prepare

CASES = DENSE | CONVOLUTIONAL
CUTTABLE = [name for name, case in CASES.items() if case.cut]
REFUSED = [name for name, case in CASES.items() if not case.cut]


def built(case: Case) -> nn.Module:
    torch.manual_seed(0)
    model = case.make().train()
    next(model.modules()).register_forward_hook(lambda *_: None)
    for module in list(model.children())[1:]:
        module.eval()
    for parameter in list(model.parameters())[:2]:
        parameter.grad = torch.ones_like(parameter)
    return model


@functools.cache
def run(name: str) -> tuple[nn.Module, Snapshot, PruneResult]:
    """The model, how it was before, and what pruning it by magnitude gave."""
    case = CASES[name]
    model = built(case)
    before = snapshot(model)
    result = prune(model, **case.example, keep=0.5, method="magnitude")
    return model, before, result


def called(case: Case, *, times: int = 1):
    def repeated(leaf):
        batch = isinstance(leaf, torch.Tensor) and leaf.ndim > 1
        return torch.cat([leaf] * times) if batch else leaf

    args, kwargs = pytree.tree_map(repeated, (case.args, case.kwargs))
    return lambda model: model(*copy.deepcopy(args), **copy.deepcopy(kwargs))


@pytest.mark.parametrize("name", CUTTABLE)
def test_what_can_be_cut_is_cut_and_the_rest_has_a_reason(name):
    case, (_, _, result) = CASES[name], run(name)
    reasons = {entry.name: entry.reason for entry in result.whole}
    assert tuple(group.name for group in result.groups) == case.cut
    assert result.groups[0].passengers == case.passengers
    for layer, words in case.reasons.items():
        assert words in reasons[layer]
    assert not reasons.keys() & set(case.cut)


@pytest.mark.parametrize("name", CUTTABLE)
def test_pruned_model_is_the_original_with_neurons_zeroed(name):
    case, (model, _, result) = CASES[name], run(name)
    calls = [called(case), called(case, times=3)]
    assert_same_outputs(result.model, zeroed(model, result), calls)


@pytest.mark.parametrize("name", CUTTABLE)
def test_callers_model_stays_as_it_was(name):
    model, before, _ = run(name)
    assert snapshot(model) == before


@pytest.mark.parametrize("name", CUTTABLE)
def test_pruned_model_is_a_smaller_one_of_the_same_kind(name):
    model, before, result = run(name)
    after = snapshot(result.model)
    assert type(result.model) is type(model)
    assert (after.flags, after.hooks, [*after.state]) == (
        before.flags,
        before.hooks,
        [*before.state],
    )
    assert all(parameter.grad is None for parameter in result.model.parameters())
    assert [p.requires_grad for p in result.model.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    assert result.parameters_before == sum(p.numel() for p in model.parameters())
    assert result.parameters_after == sum(p.numel() for p in result.model.parameters())
    for group in result.groups:
        assert len(group.kept) == group.neurons_after == (group.neurons_before + 1) // 2


@pytest.mark.parametrize("name", CUTTABLE)
def test_tensors_that_are_not_cut_keep_every_bit(name):
    model, before, result = run(name)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    after = snapshot(result.model)
    for tensor, value in result.model.state_dict().items():
        if value.shape == shapes[tensor]:
            assert after.state[tensor] == before.state[tensor], tensor


@pytest.mark.parametrize("name", CUTTABLE)
def test_layers_tell_their_new_sizes(name):
    _, _, result = run(name)
    for module in result.model.modules():
        if type(module) is nn.Linear:
            assert module.weight.shape == (module.out_features, module.in_features)
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean.shape == (module.num_features,)
        if isinstance(module, nn.PReLU):
            assert module.weight.shape == (module.num_parameters,)


@pytest.mark.parametrize("name", CUTTABLE)
def test_saved_and_loaded_the_model_is_the_same(name, tmp_path):
    case, (_, _, result) = CASES[name], run(name)
    result.save(tmp_path / "small")
    fresh = load(tmp_path / "small", into=built(case))
    assert snapshot(fresh).state == snapshot(result.model).state
    assert_same_outputs(fresh, result.model, [called(case)], exact=True)


@pytest.mark.parametrize("name", REFUSED)
def test_when_nothing_can_be_cut_the_error_names_every_layer(name):
    case = CASES[name]
    model = built(case)
    before = snapshot(model)
    with pytest.raises(UnsupportedModelError) as refusal:
        prune(model, **case.example, keep=0.5)
    message = str(refusal.value)
    assert all(layer in message and words in message for layer, words in case.reasons.items())
    assert snapshot(model) == before


def three_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return mlp(8, 40, 30, 5)


@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
@pytest.mark.parametrize("method", METHODS)
def test_keeping_every_neuron_changes_no_bit(order, method):
    torch.manual_seed(0)
    net = named(a=nn.Linear(8, 40), n=trained_norm(40), r=nn.ReLU(), b=mlp(40, 30, 5))
    result = prune(net, draw(4, 8), keep=1.0, method=method, order=order)
    assert snapshot(result.model).state == snapshot(net).state
    assert_same_outputs(result.model, net, [lambda model: model(draw(4, 8))], exact=True)


@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
@pytest.mark.parametrize("method", METHODS)
def test_each_kept_neuron_carries_its_own_bias(method, order):
    net = named(a=nn.Linear(2, 6), n=trained_norm(6), r=nn.ReLU(), b=nn.Linear(6, 2))
    with torch.no_grad():
        net.a.weight.copy_(torch.arange(12.0).view(6, 2) + 1)
        net.a.bias.copy_(torch.arange(6.0) * 100)
        net.n.running_mean.copy_(torch.arange(6.0) * 1000)
        net.b.bias.copy_(torch.tensor([7.0, 8.0]))
    result = prune(net, draw(4, 2), keep=0.5, method=method, order=order)
    kept = list(result.groups[0].kept)
    assert result.model.a.bias.tolist() == [100.0 * j for j in kept]
    assert result.model.n.running_mean.tolist() == [1000.0 * j for j in kept]
    assert result.model.a.weight[:, 0].tolist() == [2.0 * j + 1 for j in kept]
    if method not in PATH_METHODS:  # which moves the mean of what it drops into the next bias
        assert result.model.b.bias.tolist() == [7.0, 8.0]


def test_pruned_network_is_the_weighted_sum_of_the_kept_neurons():
    net, x = mlp(8, 40, 3), draw(16, 8)
    result = prune(net, x, keep=0.3, method="priority", seed=5)
    seed = np.random.SeedSequence(5).generate_state(1, np.uint64)[0] >> 1
    p, b, w, c = (tensor.detach() for tensor in net.parameters())
    subset = layer_coreset(
        p,
        w,
        num_neurons=12,
        activation=relu(),
        query_radius=float(x.norm(dim=1).max()),
        bias=b,
        method="priority",
        generator=torch.Generator().manual_seed(int(seed)),
    )
    phi = torch.relu(x @ p[subset.indices].T + b[subset.indices])
    assert result.groups[0].kept == tuple(subset.indices.tolist())
    torch.testing.assert_close(result.model(x).detach(), phi @ subset.weights.T + c)


@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
def test_three_layers_by_hand(order):
    """Magnitude ranks rows of incoming weights; bottom up those have lost columns already."""
    net = mlp(1, 3, 2, 1, bias=False)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0], [2.0], [1.0]]))
        net[2].weight.copy_(torch.tensor([[0.0, 0.0, 9.0], [1.0, 1.0, 0.0]]))
        net[4].weight.copy_(torch.tensor([[5.0, 6.0]]))
    keep = {"0": 0.67, "2": 0.5}
    result = prune(net, torch.ones(2, 1), keep=keep, method="magnitude", order=order)
    kept = [group.kept for group in result.groups]
    weights = [result.model[2].weight.tolist(), result.model[4].weight.tolist()]
    if order == "top_down":  # row 0 has norm 9, all of it in the column that goes next
        assert (kept, weights) == ([(0, 1), (0,)], [[[0.0, 0.0]], [[5.0]]])
    else:
        assert (kept, weights) == ([(0, 1), (1,)], [[[1.0, 1.0]], [[6.0]]])
    assert result.order == order


@pytest.mark.parametrize("method", ["importance", "priority", "uniform"])
def test_same_seed_same_network_another_seed_another(method):
    net = three_layers()
    states = [
        snapshot(prune(net, draw(4, 8), keep=0.5, method=method, seed=seed).model).state
        for seed in (3, 3, 4)
    ]
    assert states[0] == states[1] != states[2]


def test_randomness_of_the_caller_is_left_alone():
    net = three_layers()
    before = torch.get_rng_state()
    prune(net, draw(4, 8), keep=0.5, queries=Ball(1.0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_every_floating_point_type_is_kept(dtype, method, tmp_path):
    torch.manual_seed(0)
    net = named(a=nn.Linear(8, 40), n=trained_norm(40), r=nn.GELU(), b=nn.Linear(40, 5)).to(dtype)
    result = prune(net, draw(4, 8).to(dtype), keep=0.5, method=method)
    assert {p.dtype for p in result.model.parameters()} == {dtype}
    assert result.model.eval()(draw(3, 8).to(dtype)).isfinite().all()
    result.save(tmp_path / "small")
    fresh = load(tmp_path / "small", into=copy.deepcopy(net))
    assert snapshot(fresh).state == snapshot(result.model).state


def test_a_layer_that_rides_is_told_whom_with():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with pytest.raises(ArgumentError, match=r"by name; 1 is cut along with 0; layers that can: 0"):
        prune(net, draw(1, 4), keep={"1": 0.5})


@pytest.fixture
def prune_quickly(monkeypatch):
    """Prune one network many times, exporting it once, proving and checking nothing."""

    def quickly(net, example, **options):
        if not prepared:
            prepared.append(prepare(net, example))
        return prune(net, example, **options)

    prepared = []
    module = importlib.import_module("coreprune.prospect")
    monkeypatch.setattr(module, "network_of", lambda *_, **__: prepared[0])
    cutting, pruning = map(importlib.import_module, ("coreprune.cutting", "coreprune.prune"))
    monkeypatch.setattr(cutting, "certificate_of", lambda *_, **__: CutCertificate())
    monkeypatch.setattr(cutting, "_violation", lambda *_, **__: None)
    nothing = Proof(certificate=None, radius=None, scope="none")
    monkeypatch.setattr(pruning, "proof_of", lambda *_, **__: nothing)
    return quickly


@pytest.mark.parametrize("method", ["importance", "priority", "uniform"])
def test_output_is_unbiased(method, prune_quickly):
    """The mean over 400 seeds is normal to a good degree, 5 standard errors: 6e-7 an entry."""
    torch.manual_seed(0)
    net, x = mlp(4, 12, 2), draw(3, 4)
    outputs = torch.stack(
        [
            prune_quickly(net, x, keep=0.5, method=method, seed=seed).model(x).detach().double()
            for seed in range(400)
        ]
    )
    error = (outputs.mean(0) - net(x).detach()).abs()
    assert (error <= 5 * outputs.std(0) / math.sqrt(len(outputs))).all()


def test_guaranteed_error_holds_at_every_query(prune_quickly):
    """The theorem lets 1 in 20 seeds fail; Hoeffding-like bounds are loose, so none does."""
    torch.manual_seed(0)
    net = mlp(6, 60, 4)
    x = Ball(2.0).sample((512, 6), generator=torch.Generator().manual_seed(0))
    x[::2] *= torch.rand(256, 1, generator=torch.Generator().manual_seed(1))
    for seed in range(40):
        result = prune_quickly(net, x, keep=0.5, method="importance", queries=Ball(2.0), seed=seed)
        error = (result.model(x) - net(x)).detach().abs().max().item()
        assert result.groups[0].query_radius == pytest.approx(2.0)
        assert 0 < error <= result.groups[0].guaranteed_error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("smooth", [True, False])
def test_only_draws_with_replacement_have_a_guarantee(method, smooth):
    net = Forward(
        lambda m, x: m.b(m.a(x).relu() if smooth else (m.a(x) > 0).float()),
        a=nn.Linear(6, 60),
        b=nn.Linear(60, 4),
    )
    result = prune(net, draw(4, 6), keep=0.5, method=method)
    group = result.groups[0]
    assert (group.num_draws is not None) is (method == "importance")
    assert (group.guaranteed_error is not None) is (method == "importance" and smooth)
    assert result.method == method


@pytest.mark.parametrize("wrap", ["DataParallel", "compile", "DistributedDataParallel"])
def test_wrappers_are_taken_off(wrap, tmp_path):
    net, x = three_layers(), draw(4, 8)
    expected = prune(net, x, keep=0.5)
    if wrap == "DistributedDataParallel":
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
        )
        try:
            result = prune(nn.parallel.DistributedDataParallel(net), x, keep=0.5)
        finally:
            torch.distributed.destroy_process_group()
    else:
        compiled = functools.partial(torch.compile, backend="eager")
        wrapper = nn.DataParallel if wrap == "DataParallel" else compiled
        result = prune(wrapper(net), x, keep=0.5)
    assert type(result.model) is nn.Sequential
    assert snapshot(result.model) == snapshot(expected.model)


def test_dynamic_shapes_change_nothing():
    def forward(net, x):
        return net.b(net.a(x).relu().view(x.size(0), -1))

    net = Forward(forward, a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    dynamic = {"args": ({0: torch.export.Dim("batch")},)}
    result = prune(net, draw(4, 6), keep=0.5, dynamic_shapes=dynamic)
    assert not result.notes
    assert snapshot(result.model) == snapshot(prune(net, draw(4, 6), keep=0.5).model)


def test_skipped_layers_stay_whole():
    result = prune(three_layers(), draw(4, 8), keep=0.5, skip=["0", "4"])
    assert [group.name for group in result.groups] == ["2"]
    assert result.model[0].out_features == 40
    assert "0" in {e.name for e in result.whole if e.reason == "named in skip"}


def test_skipping_a_container_skips_what_is_in_it():
    net = named(body=mlp(8, 40, 30), r=nn.ReLU(), head=mlp(30, 20, 5))
    result = prune(net, draw(4, 8), keep=0.5, skip=["body"])
    assert [group.name for group in result.groups] == ["head.0"]


def test_layers_that_keep_does_not_name_stay_whole():
    net, x = three_layers(), draw(4, 8)
    result = prune(net, x, keep={"2": 0.5}, method="priority")
    assert [group.neurons_after for group in result.groups] == [40, 15]
    both = prune(net, x, keep=0.5, method="priority")
    assert both.groups[1].kept == result.groups[1].kept


def test_widths_are_rounded_to_a_multiple():
    result = prune(three_layers(), draw(4, 8), keep=0.4, round_to=8)
    assert [group.neurons_after for group in result.groups] == [16, 16]


@pytest.mark.parametrize("method", ["priority", "uniform", "magnitude"])
@pytest.mark.parametrize("budget", [Budget(parameters=0.3), Budget(neurons=0.3)])
def test_budget_is_reached_and_not_exceeded(method, budget):
    torch.manual_seed(0)
    net = named(a=mlp(8, 200, 100), n=trained_norm(100), r=nn.ReLU(), b=mlp(100, 60, 5))
    net.register_buffer("table", torch.zeros(10_000))
    result = prune(net, draw(4, 8), keep=budget, method=method)
    share = result.parameters_after / result.parameters_before
    if budget.neurons is not None:
        share = sum(g.neurons_after for g in result.groups) / 360
    assert 0.28 < share <= 0.3


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_of_zeros_is_cut_like_any_other(method):
    net = mlp(6, 12, 3)
    nn.init.zeros_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    result = prune(net, draw(4, 6), keep=0.5, method=method)
    assert result.model[0].out_features == 6
    assert_same_outputs(result.model, net, [lambda model: model(draw(9, 6))])


def test_a_single_neuron_stays():
    assert prune(mlp(6, 1, 3), draw(4, 6), keep=0.1).groups[0].kept == (0,)


def test_pruning_again_works():
    once = prune(three_layers(), draw(4, 8), keep=0.5).model
    assert prune(once, draw(4, 8), keep=0.5).model[0].out_features == 10


def test_the_pruned_model_learns():
    model = prune(three_layers(), draw(4, 8), keep=0.5).model
    model(draw(4, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())


def test_progress_tells_what_is_done():
    told = []
    prune(three_layers(), draw(4, 8), keep=0.5, progress=lambda *news: told.append(news))
    cutting = [("cutting", 0, 2), ("cutting", 1, 2)]
    pricing = [("pricing every size", done, 3) for done in range(3)]  # the outputs, then groups
    first = [("reading the model", 0, 1), *pricing]
    last = [("checking", 0, 1), ("measuring", 0, 1), ("certifying", 0, 1)]
    within = [news for news in told if news[0].startswith(("drawing queries", "sampling"))]
    assert {what for what, _, _ in within} == {"drawing queries", "sampling", "sampling 2"}
    assert all(0 <= done <= of for _, done, of in within)
    assert [news for news in told if news not in within] == [*first, *cutting, *last]


def test_result_says_where_it_comes_from():
    result = prune(three_layers(), draw(4, 8), keep=0.5, seed=np.int64(3), queries=Ball(2.5))
    record = result.to_json()
    assert record["seed"] == 3
    assert "queries of norm 2.5" in record["query_space"]
    assert "0: 40 → 20 neurons" in str(result)
    assert "4: left whole: its output leaves the network" in str(result)


BAD_ARGUMENTS = {
    "keep of 0": ({"keep": 0}, r"keep must be a number in \(0, 1\], got 0; .*keep=0.5"),
    "keep of 1.5": ({"keep": 1.5}, "got 1.5"),
    "negative keep": ({"keep": -0.5}, "got -0.5"),
    "keep of NaN": ({"keep": float("nan")}, "got nan"),
    "keep in words": ({"keep": "half"}, "got 'half'"),
    "no keep": ({"keep": None}, "got keep=None"),
    "keep as truth": ({"keep": True}, "got True"),
    "keep by name of 2": ({"keep": {"0": 2}}, r"keep\['0'\] must be a number in \(0, 1\], got 2"),
    "keep by a wrong name": ({"keep": {"7": 0.5, "4": 0.5}}, "keep names 4, 7, .*that can: 0, 2"),
    "unknown method": ({"method": "best"}, "method must be one of optimal, .*importance.*'best'"),
    "unknown order": ({"order": "sideways"}, "order must be one of top_down, bottom_up.*sideways"),
    "round_to of 0": ({"round_to": 0}, "round_to must be a whole number of at least 1, got 0"),
    "round_to of 1.5": ({"round_to": 1.5}, "got 1.5"),
    "negative seed": ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    "seed in words": ({"seed": "x"}, "got 'x'"),
    "queries as a number": ({"queries": 9.2}, "queries must be None or one of Ball, .*got float"),
    "skip of no layer": ({"skip": ["0", "9"]}, "skip names 9, .* the layers are 0, 2, 4"),
    "skip of an activation": ({"skip": ["1"]}, "skip names 1"),
    "skip as a string": ({"skip": "02"}, r"skip must be a collection.* pass \['02'\]"),
    "wrong shape": ({"example_inputs": draw(4, 7)}, r"example_inputs must run.*\(4, 7\)"),
    "no inputs": ({"example_inputs": ()}, "example_inputs must run.*no tensor"),
    "infinite inputs": ({"example_inputs": draw(4, 8) / 0}, "NaN or infinite inputs to 0"),
    "inputs of NaN": ({"example_inputs": draw(4, 8) * torch.nan}, "NaN or infinite inputs to 0"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_named_with_their_rule(name):
    change, words = BAD_ARGUMENTS[name]
    net = three_layers()
    before = snapshot(net)
    arguments = {"example_inputs": draw(4, 8), "keep": 0.5} | change
    with pytest.raises(ArgumentError, match=words):
        prune(net, **arguments)
    assert snapshot(net) == before


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("tensor", ["a.weight", "b.bias", "n.running_var"])
def test_entries_that_are_not_finite_are_named(tensor, value):
    net = named(a=nn.Linear(6, 12), n=nn.BatchNorm1d(12), b=nn.Linear(12, 3))
    net.state_dict()[tensor].view(-1)[0] = value
    with pytest.raises(UnsupportedModelError, match=f"NaN or infinite entries in {tensor};"):
        prune(net, draw(4, 6), keep=0.5)


class Uncopyable(nn.Module):
    def __deepcopy__(self, memo):
        raise ValueError("not me")


UNSUPPORTED = {
    "lazy": (lambda: named(a=nn.LazyLinear(5)), "a.weight, a.bias; run the model"),
    "lazy norm": (
        lambda: named(n=nn.LazyBatchNorm1d(affine=False)),
        "n.running_mean, n.running_var; run the model",
    ),
    "uncopyable": (Uncopyable, "cannot be deep-copied .not me.; detach"),
    "meta": (lambda: mlp(6, 12, 3).to("meta"), "no values in 0.weight, .* load its weights"),
    "scripted": (
        lambda: torch.jit.ScriptModule(),
        "compiled by torch.jit; pass the torch.nn.Module",
    ),
    "no layers": (nn.ReLU, "It has no layer with weights"),
    "one layer": (lambda: nn.Linear(6, 3), "output leaves the network"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_models_that_cannot_be_handled_are_refused_with_the_way_out(name):
    make, words = UNSUPPORTED[name]
    example = draw(4, 6).to("meta" if name == "meta" else "cpu")
    with pytest.raises(UnsupportedModelError, match=words):
        prune(make(), example, keep=0.5)


@pytest.mark.parametrize("model", [None, "net.pt", nn.Linear])
def test_what_is_no_module_is_refused(model):
    with pytest.raises(
        ArgumentError,
        match=r"model must be a torch.nn.Module(, got| or the path of an .onnx file, got)",
    ):
        prune(model, draw(4, 6), keep=0.5)


@pytest.mark.parametrize("method", ["optimal", "magnitude"])
@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
def test_unsound_layers_cost_one_more_pass_and_change_no_other(method, order, monkeypatch):
    def forward(net, x):
        for position, layer in enumerate(net.layers):
            x = layer(x).relu()
            x = x / x.shape[-1] if position == 2 else x
        return net.out(x)

    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))
    net = Forward(forward, layers=layers, out=nn.Linear(8, 3))
    module = importlib.import_module("coreprune.cutting")
    calls, real = [], module.group_coreset

    def counted(group, *args, **kwargs):
        calls.append(group.name)
        return real(group, *args, **kwargs)

    monkeypatch.setattr(module, "group_coreset", counted)
    result = prune(net, draw(2, 8), keep=0.5, method=method, order=order)
    assert [entry.name for entry in result.whole] == ["out", "layers.2"]
    assert len(calls) == 12
    share = {f"layers.{position}": 0.5 for position in range(6) if position != 2}
    without = prune(net, draw(2, 8), keep=share, method=method, order=order)
    others = {group.name: group for group in without.groups}
    for group in result.groups:
        assert group.kept == others[group.name].kept
        assert group.expected_error == pytest.approx(others[group.name].expected_error)


def test_weights_that_overflow_half_precision_are_not_given_out():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 4000), nn.ReLU(), nn.Linear(4000, 1)).half()
    with torch.no_grad():
        net[2].weight.mul_(6000)
    with pytest.raises(UnsupportedModelError, match=r"overflow torch\.float16"):
        prune(net, draw(4, 64).half(), keep=0.001, method="uniform")


@pytest.mark.parametrize("method", METHODS)
def test_a_record_tells_the_ridge_and_the_condition_where_weights_were_solved(method):
    whole, half = (
        prune(mlp(8, 40, 3), draw(2, 8), keep=keep, method=method).groups[0] for keep in (1.0, 0.5)
    )
    assert whole.ridge is None
    assert whole.condition_number is None
    if method in PATH_METHODS:
        assert half.ridge > 0
        assert half.condition_number > 1
    else:
        assert (half.ridge, half.condition_number) == (None, None)


def wide() -> nn.Module:
    torch.manual_seed(0)
    return named(a=mlp(8, 60, 50), n=trained_norm(50), r=nn.ReLU(), b=mlp(50, 30, 5)).eval()


def share_of(result: PruneResult, net: nn.Module, kind: str) -> float:
    def measure(model):
        if kind == "flops":
            return flops(model, Call(args=(draw(4, 8),)))
        sizes = (
            p.numel() * (p.element_size() if kind == "bytes" else 1) for p in model.parameters()
        )
        return sum(sizes)

    if kind == "neurons":
        groups = result.groups
        return sum(g.neurons_after for g in groups) / sum(g.neurons_before for g in groups)
    return measure(result.model) / measure(net)


@pytest.mark.parametrize("method", ["optimal", "forward", "magnitude"])
@pytest.mark.parametrize("kind", ["parameters", "flops", "bytes", "neurons"])
def test_each_budget_is_reached_in_what_it_speaks_of(kind, method):
    net = wide()
    result = prune(net, draw(4, 8), keep=Budget(**{kind: 0.4}), method=method)
    assert 0.38 < share_of(result, net, kind) <= 0.4


@pytest.mark.parametrize("target", [0.01, 0.1])
def test_an_error_budget_is_met_with_fewer_parameters_the_more_it_allows(target):
    net = wide()
    result = prune(net, draw(4, 8), keep=Budget(error=target), queries=Gaussian())
    assert result.measured_error <= 1.5 * target
    assert result.parameters_after < result.parameters_before
    point = [point for point in result.curve if point.expected_error <= target][-1]
    assert result.parameters_after / result.parameters_before <= point.parameters


def test_an_error_budget_that_allows_everything_leaves_one_neuron_a_layer():
    result = prune(wide(), draw(4, 8), keep=Budget(error=1e6))
    assert [group.neurons_after for group in result.groups] == [1, 1, 1]


def test_an_error_budget_needs_a_method_with_prices():
    with pytest.raises(ArgumentError, match=r"Budget\(error=0.1\) needs a method"):
        prune(wide(), draw(4, 8), keep=Budget(error=0.1), method="uniform")


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("kind", ["parameters", "flops", "bytes", "neurons"])
def test_the_curve_goes_down_from_the_whole_and_the_result_lies_on_it_or_better(kind, method):
    result = prune(wide(), draw(4, 8), keep=Budget(**{kind: 0.5}), method=method)
    first, points = result.curve[0], result.curve
    assert (first.parameters, first.flops, first.bytes, first.neurons) == (1, 1, 1, 1)
    assert first.expected_error == 0
    assert first.widths == {group.name: group.neurons_before for group in result.groups}
    assert set(points[-1].widths.values()) == {1}
    for before, after in itertools.pairwise(points):
        assert getattr(after, kind) < getattr(before, kind)
        assert after.expected_error >= before.expected_error
    nearest = next(point for point in points if getattr(point, kind) <= 0.5)
    assert result.expected_error <= 1.02 * nearest.expected_error  # earlier cuts change later ones


def test_the_curve_tells_what_a_budget_would_give():
    result = prune(wide(), draw(4, 8), keep=Budget(parameters=0.5))
    point = result.curve[len(result.curve) // 2]
    again = prune(wide(), draw(4, 8), keep=Budget(parameters=point.parameters))
    assert {g.name: g.neurons_after for g in again.groups} == point.widths


@pytest.mark.parametrize("order", ["top_down", "bottom_up"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("queries", [None, Gaussian(), Samples(draw(300, 8))])
@pytest.mark.parametrize("method", PATH_METHODS)
def test_activations_that_never_vary_go_into_the_next_bias(method, queries, bias, order):
    """Zero weights with biases: every neuron is a constant, one of each layer is enough."""
    torch.manual_seed(0)
    net = named(a=nn.Linear(8, 20), r=nn.ReLU(), b=nn.Linear(20, 10, bias=bias), s=nn.Tanh())
    net.add_module("c", nn.Linear(10, 3))
    nn.init.zeros_(net.a.weight)
    nn.init.uniform_(net.a.bias, 0.5, 1.0)
    result = prune(net, draw(4, 8), keep=0.1, method=method, order=order, queries=queries)
    x = draw(50, 8)
    torch.testing.assert_close(result.model(x), net(x), rtol=1e-4, atol=1e-4)
    assert result.expected_error < 1e-3
    assert math.isfinite(result.measured_error)


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("keep", [1.0, Budget(parameters=1.0), Budget(flops=1.0)])
@pytest.mark.parametrize("queries", [None, Samples(draw(300, 8))])
def test_keeping_everything_costs_no_bit_whatever_the_law(method, keep, queries):
    net = wide()
    result = prune(net, draw(4, 8), keep=keep, method=method, queries=queries)
    assert snapshot(result.model).state == snapshot(net).state
    assert (result.expected_error, result.measured_error) == (0.0, 0.0)


@pytest.mark.parametrize("labels", [True, False])
def test_a_loader_of_batches_is_a_law(labels):
    net, x = wide(), 3 + draw(600, 8)
    data = TensorDataset(x, torch.arange(600)) if labels else TensorDataset(x)
    result = prune(
        net, x[:4], keep=0.5, queries=Samples(DataLoader(data, batch_size=64)), method="optimal"
    )
    noise = prune(net, x[:4], keep=0.5, queries=Gaussian())
    wanted = net(x).detach()
    errors = [float((r.model(x).detach() - wanted).square().mean().sqrt()) for r in (result, noise)]
    assert result.measured_error == pytest.approx(errors[0], rel=1e-3)
    assert errors[0] < 0.7 * errors[1]
    assert result.query_space == "layer inputs no larger than on the user's samples"
    assert result.groups[0].query_radius == pytest.approx(float(x.norm(dim=1).max()))


LAWS = {
    "default": None,
    "ball": Ball(2.0),
    "box": Box(-1.0, 1.0),
    "gaussian": Gaussian(),
    "impressions": Impressions(),
    "samples": Samples(draw(300, 8)),
    "sphere": Sphere(2.0),
}


@pytest.mark.parametrize("law", LAWS)
def test_same_seed_same_bytes_under_every_law(law):
    net = three_layers()
    options = {"keep": Budget(parameters=0.5), "queries": LAWS[law], "seed": 7}
    torch.manual_seed(1)
    one = prune(net, draw(4, 8), **options)
    torch.manual_seed(2)
    other = prune(net, draw(4, 8), **options)
    assert snapshot(one.model).state == snapshot(other.model).state
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.cut])
def test_records_are_plain_json(name):
    text = json.dumps(run(name)[2].to_json(), allow_nan=False)
    assert json.loads(text)["groups"]


@pytest.mark.parametrize("method", METHODS)
def test_records_of_every_method_are_plain_json(method):
    record = json.loads(
        json.dumps(
            prune(Counting(), draw(4, 6), keep=0.5, method=method).to_json(), allow_nan=False
        )
    )
    assert (record["measured_error"] is not None) is (method in PATH_METHODS)
    assert bool(record["curve"]) is (method in PATH_METHODS)


@pytest.mark.parametrize("repair", [5, "60s"])
def test_a_repair_that_is_none_is_refused_before_any_work(repair):
    with pytest.raises(ArgumentError, match=r"repair must be coreprune.Repair"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, repair=repair)


def test_an_error_in_units_that_are_not_the_outputs_is_no_budget():
    net = Forward(lambda m, x: (m.b(m.a(x).relu()) > 0).float())
    net.a, net.b = nn.Linear(6, 12), nn.Linear(12, 3)
    with pytest.raises(ArgumentError, match="derivatives by the layers"):
        prune(net, draw(4, 6), keep=Budget(error=0.5))
    assert prune(net, draw(4, 6), keep=0.5).expected_error is None


@pytest.mark.parametrize("name", ["code", "graph", "meta", "recompile"])
def test_layers_may_be_called_as_torch_calls_its_own(name):
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict({name: nn.Linear(6, 12), "act": nn.ReLU(), "end": nn.Linear(12, 3)})
    )
    result = prune(net, draw(4, 6), keep=0.5)
    assert [group.name for group in result.groups] == [name]


def test_a_network_of_buffers_alone_has_no_parameters_to_save():
    torch.manual_seed(0)
    net = Forward(lambda m, x: F.linear(F.linear(x, m.a).relu(), m.b))
    net.register_buffer("a", torch.randn(12, 6))
    net.register_buffer("b", torch.randn(3, 12))
    result = prune(net, draw(4, 6), keep=0.5)
    assert result.model.a.shape == (6, 6)
    assert "0 → 0 parameters" in str(result)
    assert {point.parameters for point in result.curve} == {1.0}
    for target in ("parameters", "bytes"):
        with pytest.raises(ArgumentError, match="nothing to save"):
            prune(net, draw(4, 6), keep=Budget(**{target: 0.5}))
    assert prune(net, draw(4, 6), keep=Budget(flops=0.5)).groups[0].neurons_after == 6


def test_an_infinite_error_is_null_in_json_which_has_no_infinity():
    result = dataclasses.replace(run("ReLU")[2], measured_error=math.inf)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["measured_error"] is None


def needless(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Some neurons of each layer are dead, constant, unread, or told by others."""
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(6, 20), r=nn.ReLU(), b=nn.Linear(20, 16), s=nn.ReLU(), c=nn.Linear(16, 3)
    ).to(dtype)
    with torch.no_grad():
        net.a.bias[:4] = -4 * net.a.weight[:4].norm(dim=1)  # dead up to norm 4
        net.a.weight[4], net.a.bias[4] = net.a.weight[10], net.a.bias[10]
        net.a.weight[5], net.a.bias[5] = 3 * net.a.weight[11], 3 * net.a.bias[11]
        net.a.weight[6] = 0
        net.a.bias[6] = 2.0
        net.b.weight[0], net.b.bias[0] = 0.5 * net.b.weight[9], 0.5 * net.b.bias[9]
        net.b.bias[1] = -100.0
        net.b.weight[:, 7] = 0
        net.b.weight[:, 8] = 0
        net.b.weight[2, 8] = 1.0  # read by a neuron only that nothing reads
        net.c.weight[:, 2] = 0
    return net


def in_ball(radius: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = draw(256, 6).double()
    return (radius * x / x.norm(dim=1, keepdim=True)).to(dtype)


def test_without_a_loss_what_is_needless_goes_and_outputs_stay():
    net = needless()
    result = prune(net, draw(4, 6), lossless=True, queries=Ball(3.9))
    x = in_ball(3.8)
    torch.testing.assert_close(result.model(x), net(x), rtol=1e-5, atol=1e-6)
    assert [len(record.kept) for record in result.groups] == [11, 13]
    assert result.notes[0] == (
        "a: 4 dead on the ball of radius 3.9, 1 constant, 1 duplicate, 1 collinear, 2 unread"
    )
    assert result.notes[1].startswith("b: 1 dead on the ball of radius ")
    assert "1 collinear, 1 unread" in result.notes[1]
    assert result.groups[0].query_radius == pytest.approx(3.9)
    assert (result.method, result.law, result.curve) == (
        "lossless",
        "none: the method needs no law",
        (),
    )
    json.dumps(result.to_json(), allow_nan=False)


def test_without_a_loss_next_to_nothing_is_proven_to_change():
    result = prune(needless(), draw(4, 6), lossless=True, queries=Ball(3.9))
    assert 0 <= result.certificate < 1e-3
    assert result.certificate_radius == pytest.approx(3.9)
    assert result.certificate_scope == "network"
    x = in_ball(3.8)
    moved = (result.model(x) - needless()(x)).detach().abs().max()
    assert float(moved) <= result.certificate + 1e-5
    behind = prune(needless(), draw(4, 6), lossless=True, skip=["a"])
    assert behind.certificate is behind.certificate_radius is None
    assert "no radius was planned" in behind.certificate_scope


def test_without_a_loss_a_second_run_finds_nothing():
    once = prune(needless(), draw(4, 6), lossless=True, queries=Ball(3.9))
    twice = prune(once.model, draw(4, 6), lossless=True, queries=Ball(3.9))
    assert twice.parameters_after == once.parameters_after
    assert twice.notes[-1].startswith("nothing can be removed without a loss")
    for name, tensor in once.model.state_dict().items():
        assert torch.equal(twice.model.state_dict()[name], tensor)


def test_without_a_loss_a_network_that_needs_all_stays_as_it_is():
    torch.manual_seed(0)
    net = mlp(6, 12, 8, 3)
    result = prune(net, draw(4, 6), lossless=True)
    for name, tensor in net.state_dict().items():
        assert torch.equal(result.model.state_dict()[name], tensor)
    assert result.notes[-1] == "nothing can be removed without a loss: the model is as it was"
    assert result.notes[0] == "0: nothing to remove"


def test_a_larger_ball_has_fewer_dead_neurons():
    within, beyond = (
        prune(needless(), draw(4, 6), lossless=True, queries=Ball(radius)) for radius in (3.9, 4.1)
    )
    assert set(beyond.groups[0].kept) - set(within.groups[0].kept) == {0, 1, 2, 3}


def test_the_ball_of_the_largest_example_or_sample_counts_without_a_law():
    example = torch.cat([in_ball(2.0), in_ball(3.0)])
    by_example = prune(needless(), example, lossless=True)
    by_samples = prune(needless(), draw(4, 6), lossless=True, queries=Samples(example))
    for result in (by_example, by_samples):
        assert result.groups[0].query_radius == pytest.approx(3.0)
        assert "4 dead on the ball of radius 3" in result.notes[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_without_a_loss_in_every_floating_point_type(dtype):
    net = needless(dtype)
    result = prune(net, draw(4, 6).to(dtype), lossless=True, queries=Ball(3.8))
    x, eps = in_ball(3.7, dtype), torch.finfo(dtype).eps
    assert [len(record.kept) for record in result.groups] == [11, 13]
    assert {tensor.dtype for tensor in result.model.state_dict().values()} == {dtype}
    torch.testing.assert_close(result.model(x), net(x), rtol=20 * eps, atol=20 * eps)


def test_normalisations_ride_along_without_a_loss():
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(6, 12),
        n=trained_norm(12),
        r=nn.ReLU(),
        m=trained_norm(12),
        b=nn.Linear(12, 3),
    ).eval()
    with torch.no_grad():
        net.n.bias[0] = -100.0
        for tensor in (*net.a.parameters(), *net.n.parameters(), *net.m.parameters()):
            tensor[3] = tensor[8]
        for norm in (net.n, net.m):
            norm.running_mean[3] = norm.running_mean[8]
            norm.running_var[3] = norm.running_var[8]
        net.a.weight[5], net.a.bias[5] = net.a.weight[9], net.a.bias[9]  # other statistics
    result = prune(net, draw(4, 6), lossless=True)
    x = in_ball(float(draw(4, 6).norm(dim=1).max()) * 0.99)
    torch.testing.assert_close(result.model(x), net(x), rtol=1e-5, atol=1e-5)
    assert result.groups[0].kept == (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)
    assert "1 constant, 1 duplicate" in result.notes[0]
    assert len(result.model.n.running_mean) == len(result.model.m.weight) == 10


@pytest.mark.parametrize("bias", ["own", "none", "shared"])
def test_constants_go_only_into_a_bias_of_the_readers_own(bias):
    torch.manual_seed(0)
    net = Forward(
        lambda net, x: net.b(torch.sigmoid(net.a(x))) + F.linear(x, net.weight, net.b.bias),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3, bias=bias != "none"),
    )
    net.weight = nn.Parameter(draw(3, 6))
    if bias == "own":
        net.written = lambda net, x: net.b(torch.sigmoid(net.a(x)))
    with torch.no_grad():
        net.a.weight[2] = 0
        net.a.weight[5], net.a.bias[5] = net.a.weight[4], net.a.bias[4]
    result = prune(net, draw(4, 6), lossless=True)
    assert result.groups[0].neurons_after == (10 if bias == "own" else 11)
    torch.testing.assert_close(result.model(draw(4, 6)), net(draw(4, 6)))


def test_every_reader_must_be_able_to_do_without_a_neuron():
    case = CASES["heads with their own activations"]
    torch.manual_seed(0)
    net = case.make()
    with torch.no_grad():
        net.a.bias[0] = -100.0  # dead for b, not for c, which sees tanh
        net.a.weight[3], net.a.bias[3] = 2 * net.a.weight[7], 2 * net.a.bias[7]
        net.a.weight[4], net.a.bias[4] = net.a.weight[8], net.a.bias[8]
        net.a.weight[5] = 0
    result = prune(net, *case.args, lossless=True)
    assert set(range(12)) - set(result.groups[0].kept) == {0, 5, 8}  # tanh of −100 is −1
    assert_same_outputs(result.model, net, [called(case)])


@pytest.mark.parametrize(
    "name", [name for name in CUTTABLE if CASES[name].passengers or not CASES[name].chain]
)
def test_without_a_loss_every_kind_of_network_gives_what_it_gave(name):
    case = CASES[name]
    net = built(case)
    for parameter in net.parameters():
        if parameter.ndim and len(parameter) > 5:
            parameter.data[3] = parameter.data[5]
    for buffer in net.buffers():
        if buffer.ndim and len(buffer) > 5:
            buffer.data[3] = buffer.data[5]
    before = snapshot(net)
    result = prune(net, **case.example, lossless=True)
    assert snapshot(net) == before
    assert all(record.kept[:6] != (0, 1, 2, 3, 4, 5) for record in result.groups)
    assert_same_outputs(result.model, net, [called(case), called(case, times=3)])


def test_behind_a_residual_sum_only_what_needs_no_bound_goes():
    torch.manual_seed(0)
    net = Forward(
        lambda net, x: net.c(net.b((x + net.z(x)).relu()).relu()),
        z=nn.Linear(6, 6),
        b=nn.Linear(6, 12),
        c=nn.Linear(12, 3),
    )
    with torch.no_grad():
        net.b.bias[0] = -1000.0
        net.b.weight[3], net.b.bias[3] = net.b.weight[7], net.b.bias[7]
    result = prune(net, draw(4, 6), lossless=True)
    assert result.notes[0] == "b: 1 duplicate; no bound of its inputs is known"
    assert result.groups[0].query_radius is None


@pytest.mark.parametrize(("bias", "left"), [(-2.001, 1), (-1.999, 2)])
def test_the_ball_reaches_later_layers_through_what_earlier_ones_can_give(bias, left):
    net = named(a=nn.Linear(2, 2), r=nn.ReLU(), b=nn.Linear(2, 2), s=nn.ReLU(), c=nn.Linear(2, 1))
    with torch.no_grad():
        for layer in (net.a, net.b):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        net.a.weight.mul_(2)
        net.b.bias[0] = bias  # h = 2 relu(x) has norm 2 at the most
    result = prune(net, torch.ones(1, 2), lossless=True, queries=Ball(1.0))
    assert [record.neurons_after for record in result.groups][1] == left
    assert result.groups[1].query_radius == pytest.approx(2.0)


def test_without_a_loss_a_layer_whose_width_is_fixed_is_restored():
    case = CASES["hard-coded width"]
    torch.manual_seed(0)
    net = case.make()
    with torch.no_grad():
        for layer in (net.a, net.b):
            layer.weight[0], layer.bias[0] = layer.weight[1], layer.bias[1]
    result = prune(net, *case.args, lossless=True)
    reasons = {entry.name: entry.reason for entry in result.whole}
    assert "its width is fixed" in reasons["a"]
    assert [(record.name, record.neurons_after) for record in result.groups] == [("b", 9)]
    assert_same_outputs(result.model, net, [called(case)])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "exactly one of keep and lossless"),
        ({"keep": 0.5, "lossless": True}, "exactly one of keep and lossless"),
        ({"lossless": True, "round_to": 8}, "without order, round_to and repair"),
        ({"lossless": True, "order": "top_down"}, "without order, round_to and repair"),
    ],
)
def test_a_target_or_lossless_must_be_given(given, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        prune(mlp(6, 12, 3), draw(4, 6), **given)


@pytest.mark.parametrize("name", ["hard-coded width", "hard-coded width of a norm"])
def test_a_width_that_is_fixed_is_found_under_a_sampled_law_too(name):
    case = CASES[name]
    result = prune(case.make(), **case.example, keep=0.5, queries=Samples(draw(2000, 6)))
    assert [record.name for record in result.groups] == ["b"]
    reasons = {entry.name: entry.reason for entry in result.whole}
    assert "its width is fixed" in reasons["a"]


@pytest.mark.parametrize(("keep", "told"), [(1.0, True), (0.5, False)])
def test_where_nothing_is_removed_that_is_said_in_place_of_what_is_proven(keep, told):
    result = prune(mlp(6, 12, 3), draw(4, 6), keep=keep)
    assert (UNCHANGED in result.notes) is told
    assert any("proven" in line for line in sentences(result.to_json())) is not told

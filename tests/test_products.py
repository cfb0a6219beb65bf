"""Linear layers that are written as products with a parameter's transpose."""

import pytest
import torch
from networks import Forward, draw
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune import Gaussian, Samples, prune
from coreprune.graph.ir import Opaque, parameters_of
from coreprune.graph.partition import find_groups
from coreprune.shells.calls import Call
from coreprune.shells.torch_module.layer_inputs import largest_input_norms
from coreprune.shells.torch_module.subject import prepare


class Raw(nn.Module):
    """Two layers of parameters that the module holds itself."""

    def __init__(self, first, second=F.linear):
        super().__init__()
        torch.manual_seed(0)
        self.w, self.b = nn.Parameter(torch.randn(12, 6)), nn.Parameter(torch.randn(12))
        self.v, self.c = nn.Parameter(torch.randn(3, 12)), nn.Parameter(torch.randn(3))
        self.first, self.second = first, second

    def forward(self, x):
        return self.second(self.first(x, self.w, self.b).relu(), self.v, self.c)


FIRST = {
    "linear": F.linear,
    "matmul": lambda x, w, b: x @ w.t() + b,
    "T": lambda x, w, b: torch.matmul(x, w.T) + b,
    "mm": lambda x, w, b: x.mm(w.transpose(0, 1)) + b,
    "addmm": lambda x, w, b: torch.addmm(b, x, w.t()),
    "method": lambda x, w, b: b.addmm(x, w.mT),
    "matmul by name": lambda x, w, b: torch.matmul(x, other=w.t()) + b,
    "method by name": lambda x, w, b: x.matmul(other=w.t()) + b,
    "mm by name": lambda x, w, b: torch.mm(mat2=w.t(), input=x) + b,
    "addmm by name": lambda x, w, b: torch.addmm(b, mat1=x, mat2=w.t()),
}


@pytest.mark.parametrize("second", FIRST)
@pytest.mark.parametrize("first", ["matmul", "addmm by name"])
def test_products_are_cut_as_layers_are(first, second):
    """Whatever they are written as, the same comes of them."""
    net, x = Raw(FIRST[first], FIRST[second]), draw(4, 6)
    samples = torch.randn(500, 6, generator=torch.Generator().manual_seed(2))
    result = prune(net, x, keep=0.5, queries=Samples(samples))
    assert (result.model.w.shape, result.model.v.shape) == ((6, 6), (3, 6))
    plain = prune(Raw(F.linear), x, keep=0.5, queries=Samples(samples))
    assert result.groups[0].kept == plain.groups[0].kept
    with torch.no_grad():
        whole = prune(net, x, keep=1.0, queries=Gaussian()).model
        torch.testing.assert_close(whole(x), net(x), rtol=0, atol=1e-6)
        change = result.model(samples) - net(samples)
    measured = float(change.square().mean()) ** 0.5
    assert result.groups[0].expected_error == pytest.approx(measured, rel=0.02)


def besides(x, w, _):
    turned = w.t()
    return x @ turned + turned.sum(0)


OTHER = {
    "factor": lambda x, w, b: torch.addmm(b, x, w.t(), beta=2.0),
    "computed": lambda x, w, b: x @ (w.t() + 0 * b),
    "read besides": besides,
}


@pytest.mark.parametrize("name", OTHER)
def test_other_products_are_left_whole(name):
    subject = prepare(Raw(OTHER[name]), draw(4, 6))
    assert find_groups(subject.graph).groups == ()
    readers = [node for node in subject.graph.nodes if "w" in parameters_of(node)]
    assert any(isinstance(node, Opaque) for node in readers)


def products_with(factor, x):
    """A product beside the layers that are looked at."""
    net = Forward(lambda m, x: m.a(x) + factor(x, m.a.weight), a=nn.Linear(6, 6))
    weights = {"a.weight": net.a.weight}
    return largest_input_norms(net.eval(), [Call(args=(x,))], weights).rows["a.weight"]


BESIDE = {
    "sparse": lambda x, _: x @ torch.eye(6).to_sparse(),
    "rows that are sparse": lambda x, w: x.to_sparse() @ w.t(),
    "mapped": lambda x, w: torch.func.vmap(lambda row: row @ w.t())(x),
    "mapped over matrices": lambda x, _: torch.func.vmap(torch.matmul)(x, draw(4, 6, 6)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_products_of_tensors_without_an_address_are_passed_by(name):
    x = draw(4, 6)
    found = products_with(BESIDE[name], x)
    assert found == pytest.approx(float(x.norm(dim=1).max()))

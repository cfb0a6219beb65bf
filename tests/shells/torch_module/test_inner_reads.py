import pytest
import torch
from networks import Forward, draw, mlp, named
from torch import nn

from coreprune import UnsupportedModelError, inspect, prune
from coreprune.shells.torch_module.inner_reads import reads_inside


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 12)
        self.fc2 = nn.Linear(12, 6)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())


class Around(nn.Module):
    """Holds three parts; subclasses reach them in many ways, on branches that no example takes."""

    def __init__(self):
        super().__init__()
        self.mlp = Inner()
        self.body = mlp(6, 12, 6)
        self.list = nn.ModuleList([Inner(), Inner()])
        self.scale = 2.0
        self.kept = [1, (2, "x")]


class Calls(Around):
    def forward(self, x):
        y = self.mlp(x) if x.sum() > 0 else self.scaled(self.mlp(x))
        for layer in self.list:
            y = y + layer(x)
        if self.body is not None and len(self.list) > 1 and self.training:
            y = y + self.list[0](x) + self.kept[0]
        return y + self.body(x)

    def scaled(self, y):
        return self.scale * y


class ByName(Calls):
    def scaled(self, y):
        return y + self.mlp.fc1(y).mean()


class ByIndex(Calls):
    def scaled(self, y):
        return y + self.body[0](y).mean()


class ByIteration(Calls):
    def scaled(self, y):
        for layer in self.body:
            y = layer(y)
        return y


class ByElement(Calls):
    def scaled(self, y):
        return sum(layer.fc1.weight.sum() for layer in self.list) + y


class ByMethod(Calls):
    def scaled(self, y):
        return y + next(self.body.children())(y).mean()


class ByAlias(Calls):
    def scaled(self, y):
        inner = self.mlp
        return y + inner.fc1(y)


class ByGetattr(Calls):
    def scaled(self, y):
        return getattr(self.mlp, "fc" + "1")(y)


class ByModules(Calls):
    def scaled(self, y):
        return sum(p.sum() for p in self.parameters()) + y


class ByEscape(Calls):
    def scaled(self, y):
        return torch.utils.checkpoint.checkpoint(self.mlp, y)


ALL = {"mlp", "body", "list.0", "list.1"}


@pytest.mark.parametrize(
    ("kind", "barred"),
    [
        (Calls, set()),
        (ByName, {"mlp"}),
        (ByIndex, {"body"}),
        (ByIteration, {"body"}),
        (ByElement, {"list.0", "list.1"}),
        (ByMethod, {"body"}),
        (ByAlias, {"mlp"}),
        (ByGetattr, {"mlp"}),
        (ByModules, ALL),
        (ByEscape, {"mlp"}),
    ],
)
def test_parts_are_apart_unless_something_reads_their_inside(kind, barred):
    model = kind()
    assert {path for path in ALL if reads_inside(model, path)} == barred
    wrapped = nn.Sequential(kind())
    assert {path for path in ALL if reads_inside(wrapped, f"0.{path}")} == barred


def test_what_is_hidden_in_attributes_counts():
    class Hides(Calls):
        def scaled(self, y):
            return self.kept[0](y)

    model = Hides()
    model.kept = [model.mlp.fc1]
    assert {path for path in ALL if reads_inside(model, path)} == ALL


def test_shared_weights_patched_and_unreadable_code_count():
    shared = Calls()
    shared.other = shared.mlp.fc1
    assert reads_inside(shared, "mlp")
    assert not reads_inside(shared, "body")
    patched = Calls()
    patched.forward = lambda x: x
    assert reads_inside(patched, "body")
    lambdas = type("Lambdas", (Calls,), {"scaled": lambda self, y: self.mlp.fc1(y)})
    assert reads_inside(lambdas(), "mlp")
    unreadable = type("Unreadable", (Calls,), {"forward": eval("lambda self, x: x")})
    assert reads_inside(unreadable(), "body")
    assert reads_inside(Forward(lambda m, x: m.a(x), a=mlp(6, 12, 3)), "a")


def test_a_part_that_is_read_elsewhere_is_left_whole_with_a_reason():
    torch.manual_seed(0)
    result = prune(ByName(), draw(4, 6).abs(), keep=0.5)
    assert [group.name for group in result.groups] == ["body.0", "list.0.fc1", "list.1.fc1"]
    reasons = {entry.name: entry.reason for entry in result.whole}
    assert "read by code that could not be exported" in reasons["mlp.fc1"]
    assert any("parts were cut one by one" in note for note in result.notes)
    assert not inspect(named(a=mlp(6, 12, 3)), draw(4, 6)).notes
    with pytest.raises(UnsupportedModelError, match="read by code that could not be exported"):
        prune(ByModules(), draw(4, 6).abs(), keep=0.5)

"""Whether code around a submodule reads what is inside it.

Where the whole model cannot be exported, branches that the example does not take stay unseen; so
their source is read instead. Whatever is not plainly a call of the submodule counts as a read.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator

import torch
from torch import Tensor, nn

Chain = tuple[str, ...]
"""Attributes from `self` on, "*" for an index that the source does not tell."""

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_HARMLESS_METHODS = frozenset({
    "add_module", "eval", "register_buffer", "register_module", "register_parameter", "train",
})  # fmt: skip
_HARMLESS_CALLS = frozenset({"hasattr", "isinstance", "len", "super"})
_PLAIN = (bool, int, float, complex, str, type(None), torch.dtype, torch.device)


def reads_inside(model: nn.Module, path: str) -> bool:
    """Whether anything but its own forward pass may reach into a submodule.

    Args:
        model: The whole model.
        path: The submodule's name in it.

    Returns:
        True also where the source of what is around it cannot be read.
    """
    steps = tuple(path.split("."))
    return _is_shared(model, path) or any(
        _reads(model.get_submodule(".".join(steps[:depth])), steps[depth:])
        for depth in range(len(steps))
    )


def _is_shared(model: nn.Module, path: str) -> bool:
    inside = {id(tensor) for tensor in model.get_submodule(path).parameters()}
    return any(
        id(tensor) in inside and not name.startswith(f"{path}.")
        for name, tensor in model.named_parameters(remove_duplicate=False)
    )


def _reads(module: nn.Module, target: Chain) -> bool:
    kinds = type(module).__mro__[: type(module).__mro__.index(nn.Module)]
    kinds = tuple(kind for kind in kinds if kind not in _CONTAINERS)
    if "forward" in vars(module) or any(_is_patched(kind) for kind in kinds):
        return True
    try:
        sources = [ast.parse(textwrap.dedent(inspect.getsource(kind))) for kind in kinds]
    except (OSError, TypeError, SyntaxError):
        return True
    return any(
        _touches(module, use, target, called=called)
        for source in sources
        for method in ast.walk(source)
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.args.args
        for use, called in _Method(method).uses()
    )


def _is_patched(kind: type) -> bool:
    """Whether the source of a class does not hold all of its methods."""
    methods = [value for value in vars(kind).values() if inspect.isfunction(value)]
    return any(
        method.__qualname__ != f"{kind.__qualname__}.{method.__name__}" for method in methods
    )


def _touches(module: nn.Module, use: Chain, target: Chain, *, called: bool) -> bool:
    """Whether a use of a chain may reach inside the target."""
    depth, owner = 0, [module]
    while depth < len(use) and (below := [c for m in owner for c in _children(m, use[depth])]):
        depth, owner = depth + 1, below
    reached, rest = use[:depth], use[depth:]
    if not rest:
        inside = depth > len(target) or not called
        return inside and _related(reached, target)
    if all(_is_plain(one, rest[0]) for one in owner):
        return depth >= len(target) and _related(reached, target)
    return _related(reached, target)


def _children(module: nn.Module, step: str) -> list[nn.Module]:
    return [
        child
        for name, child in module._modules.items()
        if child is not None and step in {name, "*"}
    ]


def _related(left: Chain, right: Chain) -> bool:
    return all(one == other or "*" in {one, other} for one, other in zip(left, right, strict=False))


def _is_plain(module: nn.Module, name: str) -> bool:
    """Whether an attribute is data, or a method whose source is read for itself."""
    if name in vars(module):
        return _is_data(vars(module)[name])
    if name in module._parameters or name in module._buffers or name in _HARMLESS_METHODS:
        return True
    known = inspect.getattr_static(type(module), name, None)
    inherited = name in vars(nn.Module) or any(name in vars(kind) for kind in _CONTAINERS)
    return not inherited and (inspect.isfunction(known) or isinstance(known, property | _PLAIN))


def _is_data(value: object) -> bool:
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, tuple | list):
        return all(_is_data(entry) for entry in value)
    return isinstance(value, (*_PLAIN, Tensor))


class _Method:
    """The uses of `self` in one method."""

    def __init__(self, method: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.method = method
        self.names: dict[str, Chain] = {method.args.args[0].arg: ()}
        self.parents = {
            child: node for node in ast.walk(method) for child in ast.iter_child_nodes(node)
        }
        self.loops: set[ast.AST] = set()
        for node in ast.walk(method):
            if isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
                chain = self._chain(node.iter)
                if chain is not None:
                    self.names[node.target.id] = (*chain, "*")
                    self.loops |= {node.iter, node.target}

    def uses(self) -> Iterator[tuple[Chain, bool]]:
        """Every longest chain, and whether all that is done with it is to call it."""
        for node in ast.walk(self.method):
            parent = self.parents.get(node)
            chain = self._chain(node)
            if chain is None or node in self.loops or self._chain(parent) is not None:
                continue
            if not isinstance(getattr(node, "ctx", None), ast.Store):
                yield chain, self._is_call(node, parent)

    def _is_call(self, node: ast.AST, parent: ast.AST | None) -> bool:
        if isinstance(parent, ast.Compare):
            return all(isinstance(op, ast.Is | ast.IsNot) for op in parent.ops)
        if not isinstance(parent, ast.Call):
            return False
        harmless = isinstance(parent.func, ast.Name) and parent.func.id in _HARMLESS_CALLS
        return parent.func is node or harmless

    def _chain(self, node: ast.AST | None) -> Chain | None:
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            inner = self._chain(node.value)
            return None if inner is None else (*inner, node.attr)
        if isinstance(node, ast.Subscript):
            inner = self._chain(node.value)
            return None if inner is None else (*inner, _index(node.slice))
        return None


def _index(index: ast.expr) -> str:
    known = isinstance(index, ast.Constant) and isinstance(index.value, int | str)
    return str(index.value) if known else "*"  # type: ignore[attr-defined]

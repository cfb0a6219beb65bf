"""What ONNX files cost besides moments and selection, next to onnx.load and onnx.save of the same.

Structure is reading (the checker included), finding shapes, lowering, grouping, cutting all groups
to half their neurons and writing. The postcondition, three runs of the file and what they take to
prepare, is apart from it.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from coreprune.graph.cut import Cut, columns_of, parts_of, shrink, widen
from coreprune.graph.groups import Group
from coreprune.graph.partition import find_groups
from coreprune.shells.onnx_file.document import Document, read
from coreprune.shells.onnx_file.edit import edited
from coreprune.shells.onnx_file.lower import Lowered, lower
from coreprune.shells.onnx_file.postcondition import violation
from coreprune.shells.onnx_file.shapes import Shaped, shaped
from coreprune.shells.onnx_file.writing import write
from experiments.mnist import NoDataError
from experiments.onnx_files.subjects import SUBJECTS

T = TypeVar("T")
ROUNDS = 5
GENERATED = "generated, 100 MB"
_WIDTH, _LAYERS = 2236, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Times as multiples of onnx.load and onnx.save.

    Attributes:
        structure: Of all but the postcondition.
        checked: With it.
    """

    structure: float
    checked: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Halved:
    """A file whose groups have half their neurons.

    Attributes:
        document: The file before.
        about: Its shapes.
        lowered: Its graph.
        small: Its changed tensors.
        cuts: What was cut.
    """

    document: Document
    about: Shaped
    lowered: Lowered
    small: dict[str, Tensor]
    cuts: list[Cut]


def main() -> dict[str, Ratio]:
    """Print medians over rounds, of processor time on one thread.

    Returns:
        Ratios by file; files of packages that are not in the cache are left out.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in _files(Path(folder)):
            found[name] = _ratio(path, Path(folder))
            print(
                f"{name} ({path.stat().st_size / 1e6:.1f} MB): structure takes "
                f"{found[name].structure:.1f} × onnx.load and onnx.save, "
                f"{found[name].checked:.1f} × with the postcondition"
            )
    torch.set_num_threads(threads)
    return found


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for subject in SUBJECTS:
        try:
            yield subject.name, subject.path(fetch=False)
        except NoDataError as reason:
            print(f"{subject.name} is left out: {reason}")
    yield GENERATED, generated(folder / "generated.onnx")


def generated(path: Path, *, width: int = _WIDTH, layers: int = _LAYERS) -> Path:
    """A chain of linear layers with ReLUs between them.

    Args:
        path: Where it goes.
        width: Of every layer.
        layers: How many.

    Returns:
        The path.
    """
    generator = np.random.default_rng(0)
    nodes, tensors = [], []
    for place in range(layers):
        weight = generator.standard_normal((width, width), dtype=np.float32) / width**0.5
        tensors.append(numpy_helper.from_array(weight, f"w{place}"))
        nodes.append(helper.make_node("MatMul", [f"r{place}", f"w{place}"], [f"h{place}"]))
        nodes.append(helper.make_node("Relu", [f"h{place}"], [f"r{place + 1}"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", width))
        for name in ("r0", f"h{layers - 1}")
    ]
    graph = helper.make_graph(nodes[:-1], "chain", ends[:1], ends[1:], tensors)
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def _ratio(path: Path, folder: Path) -> Ratio:
    rounds = [_round(path, folder) for _ in range(ROUNDS + 1)]
    pairs = rounds[1:]  # the first warms up
    structure, checked = (statistics.median(one) for one in zip(*pairs, strict=True))
    return Ratio(structure=structure, checked=checked)


def _round(path: Path, folder: Path) -> tuple[float, float]:
    """Both ratios, once."""
    base, _ = _timed(lambda: onnx.save(onnx.load(path), folder / "copy.onnx"))
    took, halved = _timed(lambda: _structure(path, folder / "small.onnx"))
    more, _ = _timed(lambda: _checked(halved))
    return took / base, (took + more) / base


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.process_time()
    made = work()
    return time.process_time() - started, made


def _structure(path: Path, target: Path) -> Halved:
    document = read(path)
    about = shaped(document)
    lowered = lower(document, about)
    parameters, cuts = lowered.graph.parameters, []
    for group in find_groups(lowered.graph).groups:
        cut = _half(group, parameters, cuts)
        parameters = shrink(parameters, cut, cuts)
        cuts.append(cut)
    original = lowered.graph.parameters
    small = {name: one for name, one in parameters.items() if one is not original[name]}
    write(edited(document, lowered, small), target)
    return Halved(document=document, about=about, lowered=lowered, small=small, cuts=cuts)


def _half(group: Group, parameters: dict[str, Tensor], cuts: list[Cut]) -> Cut:
    own = parts_of(group, parameters, cuts)
    kept = torch.arange(0, group.neurons, 2)
    weights = (own[name].reshape(len(own[name]), group.neurons, -1) for name in columns_of(group))
    return Cut(
        group=group,
        indices=kept,
        weights=tuple(read[:, kept].flatten(1) for read in weights),
        shifts={},
    )


def _checked(halved: Halved) -> None:
    wrong = violation(
        halved.document,
        halved.lowered,
        halved.about.example,
        small=halved.small,
        wide=widen(halved.small, halved.lowered.graph.parameters, halved.cuts),
        columns={name for cut in halved.cuts for name in columns_of(cut.group)},
    )
    if wrong is not None and halved.small:
        raise RuntimeError(f"{halved.document.path}: {wrong}")


if __name__ == "__main__":
    main()

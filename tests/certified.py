"""Random sums of neurons, their suprema, and whether bounds hold."""

import math

import torch
from torch import Generator, Tensor

from coreprune.core import activations as family
from coreprune.core.attack import Ascent, attack
from coreprune.core.certificate import Certificate
from coreprune.core.elementwise import Activation, custom
from coreprune.core.neuron_sums import Block, NeuronSums, evaluate, neuron_sums
from coreprune.core.query_set import QuerySet, ball, box, draw, ellipsoid, queries

ACTIVATIONS: tuple[Activation, ...] = (
    family.relu(),
    family.relu6(),
    family.sigmoid(),
    family.tanh(),
    family.gelu(),
    family.gelu("tanh"),
    family.silu(),
    family.mish(),
    family.hardswish(),
    family.hardsigmoid(),
    family.selu(),
    family.step(),
    family.leaky_relu(-0.3),
    family.leaky_relu(3.0),
    family.hardtanh(-3.0, 0.5),
    family.hardtanh(2.0, 7.0),
    family.softplus(),
    family.softplus(-2.0),
    family.softplus(2.0, 1.0),
    family.elu(),
    family.elu(2.5),
    family.elu(-2.0),
    family.celu(0.25),
    family.celu(3.0),
    family.identity(),
    family.affine(2.0, -1.0),
    custom(torch.sin, lipschitz=1.0, monotone=False, name="sine"),
    family.compose(family.affine(2.0, 0.3), family.relu()),
    family.compose(family.relu(), family.tanh()),
)
SPACES = ("ball", "moved ball", "ellipsoid", "box", "point")


def normal(*shape: int, generator: Generator) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def random_sums(
    activation: Activation | None,
    *,
    d: int,
    n: int,
    k: int = 2,
    spread: float = 1.0,
    generator: Generator,
) -> NeuronSums:
    """A block of this activation (PReLU with mixed slopes for None) and one of ReLU.

    The second neuron of each is nearly the first, read with the opposite sign, as after pruning.
    """
    blocks = []
    for one in (activation, family.relu()):
        points, weights = normal(n, d, generator=generator), normal(k, n, generator=generator)
        if n > 1:
            points[1] = points[0] + 0.1 * points[1]
            weights[:, 1] = -weights[:, 0]
        own = one or family.prelu(2 * normal(n, generator=generator))
        bias = spread * normal(n, generator=generator)
        blocks.append(Block(points=points, bias=bias, activation=own, weights=weights))
    return neuron_sums(blocks, 0.3 * normal(k, generator=generator))


def random_space(kind: str, *, d: int, size: float, generator: Generator) -> QuerySet:
    centre = normal(d, generator=generator)
    match kind:
        case "ball":
            return ball(size, dimension=d)
        case "moved ball":
            return ball(size, centre=centre)
        case "ellipsoid":
            return ellipsoid(size * normal(d, d, generator=generator), centre=centre)
        case "box":
            return box(centre - size, centre + size * normal(d, generator=generator).abs())
    return ball(0.0, centre=centre)


def reached(
    sums: NeuronSums, space: QuerySet, *, samples: int, ascent: Ascent, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Values of the sums at sampled queries, (samples, k), and the peaks of an ascent, (k,)."""
    v = draw(space, samples, generator=generator)
    v = v * torch.rand(samples, 1, dtype=torch.float64, generator=generator).sqrt()
    values = evaluate(sums, queries(space, v))
    return values, attack(sums, space, ascent=ascent, generator=generator).values


def holds(found: Certificate, values: Tensor, peaks: Tensor, *, factor: float = 1.0) -> bool:
    """Whether no value beats the certificate, scaled by a factor."""
    return bool(
        (values.abs().amax(0) <= factor * found.bound).all()
        and (peaks <= factor * found.bound).all()
        and (values.amax(0) <= found.upper).all()
        and (values.amin(0) >= found.lower).all()
        and torch.linalg.vector_norm(values, dim=1).amax() <= factor * found.norm
    )


def grid(space: QuerySet, steps: int) -> Tensor:
    """Points of the unit set of one or two dimensions, on its boundary and inside. (Q, e)."""
    line = torch.linspace(-1, 1, steps, dtype=torch.float64)
    if space.axes.shape[-1] == 1:
        return line[:, None]
    if space.unit == "cube":
        return torch.cartesian_prod(line, line)
    angle = math.pi * line[:, None]
    radius = (line[None] + 1) / 2
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2).flatten(0, 1)


def piecewise_linear_supremum(sums: NeuronSums, space: QuerySet) -> Tensor:
    """Sup |r_i| of ReLU sums over a box of two dimensions: it is attained at a vertex. (k,).

    Vertices are the corners and the crossings of kinks with one another and with the edges.
    """
    normals = torch.cat([block.points * space.axes for block in sums.blocks])
    shifts = torch.cat([b.points @ space.centre + b.bias for b in sums.blocks])
    edges = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.float64)
    normals = torch.cat([normals, edges])
    shifts = torch.cat([shifts, torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)])
    first, second = torch.triu_indices(len(normals), len(normals), offset=1)
    matrix = torch.stack([normals[first], normals[second]], dim=1)
    crossing = matrix.det().abs() > 1e-9
    right = -torch.stack([shifts[first], shifts[second]], dim=1)
    v = torch.linalg.solve(matrix[crossing], right[crossing][..., None])[..., 0]
    v = v[(v.abs() <= 1 + 1e-12).all(1)].clamp(-1, 1)
    return evaluate(sums, queries(space, v)).abs().amax(0)

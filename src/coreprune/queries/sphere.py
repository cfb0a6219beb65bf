"""The uniform law on the Euclidean sphere around the origin."""

from dataclasses import dataclass

from torch import Generator, Tensor

from coreprune.queries.ball import Ball, check_positive


@dataclass(frozen=True, slots=True)
class Sphere:
    """Inputs x of norm ‖x‖ = radius in directions drawn uniformly.

    Attributes:
        radius: β > 0, in the units of the input.

    Example:
        >>> queries = Sphere(3.0).sample((5, 7), generator=Generator())
        >>> queries.norm(dim=1).allclose(queries.new_full((5,), 3.0))
        True
    """

    radius: float

    def __post_init__(self) -> None:
        check_positive("radius", self.radius)

    @property
    def words(self) -> str:
        """The law, for people."""
        return f"inputs uniform on the sphere of radius {self.radius:.4g}"

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw queries in float32. Shape as asked, the batch first."""
        return Ball(self.radius).sample(shape, generator=generator)

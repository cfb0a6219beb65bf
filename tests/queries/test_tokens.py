import pytest
import torch

from coreprune.errors import ArgumentError
from coreprune.queries.tokens import Tokens


def test_all_ids_are_drawn_alike():
    ids = Tokens(vocabulary=5).sample((200, 100), generator=torch.Generator().manual_seed(0))
    shares = ids.flatten().bincount(minlength=5) / ids.numel()
    assert len(shares) == 5
    # Five deviations of a share of 20,000 draws: a false alarm in a million seeds.
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=5 * 0.4 / 20_000**0.5, rtol=0)


@pytest.mark.parametrize("name", ["vocabulary", "length"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_sizes_are_whole_numbers(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number"):
        Tokens(**{name: value})


def test_a_vocabulary_is_needed_to_draw():
    with pytest.raises(ArgumentError, match="needs vocabulary"):
        Tokens().sample((1, 2), generator=torch.Generator())

import math

import pytest
import torch

from coreprune.certificates.judged import holds, not_beaten, says_nothing, vacuous_words
from coreprune.records import CertifiedGroup
from coreprune.verification import is_beaten


@pytest.mark.parametrize("pair", [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.inf)])
def test_what_is_not_a_number_never_holds(pair):
    attack, bound = pair
    group = CertifiedGroup(name="a", certificate=bound, attack=attack)
    assert not holds(group, 1.0)
    assert is_beaten(attack, bound)


def test_an_infinite_attack_beats_every_number():
    attack, bound = torch.tensor([math.inf]), torch.tensor([1.0])
    assert not not_beaten(attack, bound, size=math.inf).any()


def test_an_infinite_certificate_says_nothing_and_is_not_beaten():
    attack, bound = torch.tensor([2.0]), torch.tensor([math.inf])
    assert not_beaten(attack, bound, size=1.0).all()
    assert says_nothing(bound, torch.tensor([2.0]), torch.tensor([3.0])).all()
    assert "1 of 1 groups: nothing is proven" in vacuous_words(
        "groups", torch.tensor([False]), unproven=1
    )

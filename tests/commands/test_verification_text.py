"""What `verify` prints of numbers."""

from types import SimpleNamespace

import pytest
import torch

from coreprune.commands.verification_text import _numbers, _rounding, print_verification
from coreprune.records import Certified, CertifiedGroup
from coreprune.verification import Verification


@pytest.mark.parametrize(
    ("attack", "bound", "words"),
    [
        (0.5, 1.0, ("0.5", "1", "2.00")),
        (-0.0, 1.0, ("0", "1", "")),
        (0.0, 0.0, ("0", "0", "")),
        (1e-9, 1.0, ("1e-09", "1", "")),
        (None, 1.0, ("", "1", "")),
        (0.5, None, ("0.5", "", "")),
    ],
)
def test_a_ratio_is_said_where_it_tells(attack, bound, words):
    assert _numbers(attack, bound) == words


@pytest.mark.parametrize(("bound", "words"), [(None, "nothing is proven"), (1.0, "up to 0.5 for")])
def test_where_nothing_is_proven_no_rounding_is_spoken_of(bound, words):
    found = SimpleNamespace(
        scope="group: no chain",
        groups=[SimpleNamespace(certificate=bound, attack=0.1, name="a", reason="")],
        rounding=torch.tensor([0.5]),
        precision="float32",
    )
    assert words in _rounding(found)


def test_where_nothing_is_told_that_is_said_with_the_reasons_and_no_table(capsys):
    unknown = CertifiedGroup(
        name="0 → 2", certificate=None, attack=None, reason="not attacked: other sizes"
    )
    nothing = torch.tensor([float("inf")])
    certified = Certified(
        certificate=nothing, attack=nothing, holds=True, scope="group: no chain", space="a box",
        vacuous="", groups=(unknown,), rounding=nothing, precision="float32",
    )  # fmt: skip
    print_verification(Verification(certified=certified, stored=(), holds=True))
    out = capsys.readouterr().out
    assert "nothing is proven anew of these two networks and nothing was attacked" in out
    assert "(0 → 2: other sizes)" in out
    assert "what is not known" not in out

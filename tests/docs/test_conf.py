import pytest

from docs.conf import read_literally

CASES = {
    "bars and stars are no markup": (["Bounds |w| by u*."], [r"Bounds \|w\| by u\*."]),
    "code stays": (["As `a | b*` says."], ["As `a | b*` says."]),
    "a trailing underscore is no link": (["ends in x_ here"], [r"ends in x\_ here"]),
    "an index is left alone": (["Σ_j w_ij"], ["Σ_j w_ij"]),
    "doctests stay": ([">>> a | b * c"], [">>> a | b * c"]),
    "a formula becomes a block": (
        ["It is", "", "    |x| * 2", "", "and so on."],
        ["It is", "", "::", "", "    |x| * 2", "", "and so on."],
    ),
    "a section is no formula": (
        ["Args:", "    x: Of size |x|.", "", "    y: More."],
        ["Args:", r"    x: Of size \|x\|.", "", "    y: More."],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_docstrings_are_read_literally(name):
    given, expected = CASES[name]
    assert read_literally(given) == expected

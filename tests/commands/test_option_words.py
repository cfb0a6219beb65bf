"""Refusals name the options of the command line, not the arguments of the library."""

import pytest

from coreprune.commands.option_words import in_options

OPTIONS = ["--keep", "--round-to", "--input", "--seed", "--error"]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("keep must be in (0, 1]; pass keep=0.5", "--keep must be in (0, 1]; pass --keep 0.5"),
        ("round_to must be a whole number", "--round-to must be a whole number"),
        ("example_inputs must run through the model", "--input must run through the model"),
        ("the two example_inputs differ", "the two --input differ"),
        ("parts to keep and seed the error", "parts to keep and seed the error"),
        ("keeper=1 and unkeep=2", "keeper=1 and unkeep=2"),
        ("give up", "give up"),
        ("Budget(error=2) is small; pass keep=True", "Budget(error=2) is small; pass --keep"),
    ],
)
def test_arguments_become_options(refusal, words):
    assert in_options(refusal, OPTIONS) == words


@pytest.mark.parametrize("options", [["--queries"], ["--queries", "--samples"]])
def test_samples_are_queries_where_they_have_no_option_of_their_own(options):
    assert in_options("samples hold NaN", options) == f"{options[-1]} hold NaN"

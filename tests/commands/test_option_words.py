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
        ("Budget(error=2) is small; pass keep=True", "--error 2 is small; pass --keep"),
        ("pass Budget(error=...), or Budget(error=1e-9)", "pass --error, or --error 1e-9"),
        ("Repair(keep=1) stays", "Repair(keep=1) stays"),
        ("exactly one of keep and seed, got", "exactly one of --keep and --seed, got"),
        (
            "given without seed, round_to and keep: no",
            "given without --seed, --round-to and --keep: no",
        ),
        ("models without seed and keep", "models without seed and keep"),
        ("too coarse with round_to", "too coarse with --round-to"),
    ],
)
def test_arguments_become_options(refusal, words):
    assert in_options(refusal, OPTIONS) == words


@pytest.mark.parametrize("options", [["--queries"], ["--queries", "--samples"]])
def test_samples_are_queries_where_they_have_no_option_of_their_own(options):
    assert in_options("samples hold NaN", options) == f"{options[-1]} hold NaN"


PRUNE = ["MODEL", "--output", "--method", "--queries", "--workers", "--threads", "--ray-address"]
VERIFY = ["ORIGINAL", "PRUNED", "--radius", "--box", "--samples"]


@pytest.mark.parametrize(
    ("options", "refusal", "words"),
    [
        (PRUNE, "workers must, with ray_address", "--workers must, with --ray-address"),
        (
            PRUNE,
            "workers and ray_address must be left out with queries; pass threads, got",
            "--workers and --ray-address must be left out with --queries; pass --threads, got",
        ),
        (PRUNE, "leave out queries, then it is not", "leave out --queries, then it is not"),
        (PRUNE, "random; pass method='priority', whose", "random; pass --method priority, whose"),
        (PRUNE, "source must be a folder", "MODEL must be a folder"),
        (PRUNE, "target must lie outside", "--output must lie outside"),
        (PRUNE, "queries=Sentences(...) needs", "--queries FILE.txt needs"),
        (PRUNE, "add its files, or pass Tokens()", "add its files, or pass --queries tokens"),
        (PRUNE, "pass Tokens(vocabulary=...)", "pass --queries tokens:VOCABULARY"),
        (PRUNE, "queries=Box(...); leave queries", "--queries box:LOW:HIGH; leave --queries"),
        (PRUNE, "vocabulary must leave", "--queries: vocabulary must leave"),
        (VERIFY, "radius must be positive", "--radius must be positive"),
        (
            PRUNE,
            "says (got x (2, 3)); pass other sizes",
            "says (got x (2, 3)); pass other sizes, as with --input",
        ),
        (PRUNE, "pass coreprune.Samples(inputs), or", "pass --queries FILE.npy, or"),
        (VERIFY, "into does not fit", "ORIGINAL does not fit"),
        (VERIFY, "source must be a folder", "ORIGINAL must be a folder"),
        (VERIFY, "target must be a folder", "PRUNED must be a folder"),
        (VERIFY, "original and pruned must both", "ORIGINAL and PRUNED must both"),
        (VERIFY, "fits none; pass coreprune.Ball(radius)", "fits none; pass --radius"),
    ],
)
def test_arguments_without_options_and_laws_have_words_of_their_own(options, refusal, words):
    assert in_options(refusal, options) == words

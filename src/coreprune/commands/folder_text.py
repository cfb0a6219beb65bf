"""What the program prints of Hugging Face folders."""

from collections.abc import Iterator

from coreprune.commands.terminal import print_table, say
from coreprune.commands.whole_layers import whole_layers
from coreprune.folder_repair import FolderRepaired, entries_of
from coreprune.report.folder import losing_sentences, repair_sentences
from coreprune.shells.hf_folder.inspect_folder import FolderInspection
from coreprune.shells.hf_folder.records import FolderResult, is_of_few_tokens
from coreprune.shells.hf_folder.verify_folder import FolderVerification


def print_folder_inspection(found: FolderInspection) -> None:
    """The blocks, what stays whole, and the share that can be reached."""
    print_table(
        ("block", "neurons", "reads", "norm before it", "activation", "stored as", "certificate"),
        [
            (
                block.name,
                f"{block.neurons} gated" if block.gated else str(block.neurons),
                str(block.inputs),
                block.norm,
                block.activation,
                block.dtype,
                f"for {block.certificate}",
            )
            for block in found.blocks
        ],
        title=f"{found.family}: feed-forward blocks that can be cut",
    )
    print_table(
        ("layer", "tensors", "parameters", "stays whole because"),
        [
            (part.name, str(part.tensors), f"{part.parameters:,}", part.reason)
            for part in found.whole
        ],
    )
    say(f"{found.reachable:.1%} of {found.parameters:,} parameters can be reached")


def print_folder_result(result: FolderResult, repaired: FolderRepaired | None = None) -> None:
    """What was done to every block, how a repair went, and how to read what was written."""
    whole = whole_layers(result.whole.items())
    print_table(
        ("block", "neurons", "kept", "expected error", "share", "certificate", "stays whole"),
        [
            (
                block.name,
                str(block.neurons_before),
                str(block.neurons_after),
                f"{block.expected_error:.2g}"
                + " (few tokens)" * (repaired is None and is_of_few_tokens(block)),
                f"{block.relative_error:.1%}",
                f"{block.certificate:.4g}",
                "",
            )
            for block in result.blocks
        ]
        + [(name, "", "", "", "", "", reason) for name, reason in whole.rows],
        caption="expected errors are root mean squares, shares are of what the outputs vary by",
    )
    for sentence in (*whole.sentences, *_sentences(result, repaired)):
        say(sentence)


def _sentences(result: FolderResult, repaired: FolderRepaired | None) -> Iterator[str]:
    """What the numbers mean, and what else there is to say."""
    if repaired is None:
        yield f"expected errors are of the blocks' outputs over {result.law}"
    else:
        yield from repair_sentences(entries_of(repaired))
    if result.blocks:
        yield (
            "proven: no output of a block is off by more than its certificate, for "
            f"{result.blocks[0].space}"
        )
        yield from losing_sentences(result.to_json()["blocks"], repaired=repaired is not None)
    if result.left_out:
        yield f"not copied, as they hold the original's weights: {', '.join(result.left_out)}"
    yield from (f"note: {note}" for note in result.notes)
    share = result.parameters_after / max(1, result.parameters_before)
    yield (
        f"{result.parameters_before:,} → {result.parameters_after:,} parameters ({share:.1%}), "
        f"written to {result.target}"
    )
    if result.widths:
        name = f"transformers.{result.model_class}"
        yield f"transformers reads it: {name}.from_pretrained({str(result.target)!r})"


def print_folder_verification(found: FolderVerification) -> None:
    """A table of the blocks, and sentences on what it means."""
    print_table(
        ("block", "attack", "stored certificate", "ratio", "proven again", "holds"),
        [
            (
                block.name,
                f"{block.attack:.4g}",
                f"{block.certificate:.4g}",
                f"{block.certificate / block.attack:.2f}" if block.attack > 0 else "",
                f"{block.proven:.4g}",
                "yes" if block.holds else f"NO: {block.reason}",
            )
            for block in found.blocks
        ],
    )
    if found.space:
        say(f"in the units of the blocks' outputs, for {found.space}")
    if not found.changed:
        say("all tensors that are not cut are the original's, bit by bit")
    for note in found.notes:
        say(f"note: {note}")

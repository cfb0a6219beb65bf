"""The page of a pruned network: everything is in it, nothing is loaded, numbers are right."""

import re
from dataclasses import replace

import pytest
from report.pages import Parsed
from report.records import CERTIFIED, COMPARISON, LOSSLESS, MANY, NOTHING_KNOWN, RESULT, RESULTS

from coreprune.records import FEW, SAMPLES, WholeRecord
from coreprune.report.context import Context
from coreprune.report.pruned import pruned_page
from coreprune.report.writing import html_of


def page(result=RESULT, **context):
    given = {"name": "LeNet", "kind": "module", **context}
    return html_of(pruned_page(result.to_json(), Context(**given)))


def parsed(result=RESULT, **context):
    return Parsed(page(result, **context))


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("kind", ["module", "onnx"])
def test_every_kind_of_result_is_a_sound_page_that_loads_nothing(result, kind):
    text = page(result, kind=kind, comparison=COMPARISON, certified=CERTIFIED)
    found = Parsed(text)
    assert found.loads() == []
    assert "://" not in text
    assert "None" not in found.text
    assert "nan" not in found.text
    assert 5_000 < len(text) < 400_000


def test_the_policy_allows_its_own_style_and_script_alone():
    policy = next(a["content"] for tag, a in parsed().elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any("style" in a or any(n.startswith("on") for n in a) for _, a in parsed().elements)


def test_the_answer_has_what_the_result_has():
    text = parsed(comparison=COMPARISON).text
    for words in (
        "266,610 → 125,810", "1.07 → 0.503\u202fMB".replace("\u202f", " "), "532 → 251 kFLOPs",
        "113 → 85.1 µs", "0.9841 → 0.9812", "≤ 132", "47.2 %", "75.3 %",
        "off by 0.456 (root mean square); their own spread is 5.76",
        "no output is off by more than 132 for any input of norm at most 9.25",
        "the median of 1,000 calls", "A remark on the whole.",
    ):  # fmt: skip
        assert words in text, words


def test_without_a_comparison_there_is_no_latency():
    text = parsed().text
    assert "Latency" not in text
    assert "Score" not in text


def test_every_point_of_the_curve_says_its_numbers_and_the_chosen_one_too():
    labels = parsed().labels()
    for size, error in ((25, "1.25"), (75, "0.111")):
        found = f"{size}.0\u202f% of the parameters; expected error {error}"
        assert any(label.startswith(found) for label in labels)
    assert any("25.0\u202f%" in label and "fc1 75, fc2 25" in label for label in labels)
    assert "47.2\u202f% of the parameters; expected error 0.432" in labels
    assert "47.2\u202f% of the parameters; measured error 0.456" in labels


def test_every_layer_has_a_bar_as_long_as_its_neurons():
    text = page()
    rows = re.findall(r'aria-label="(fc\d); (\d+) → (\d+) neurons.*?</g>', text, re.DOTALL)
    assert rows == 2 * [("fc1", "300", "150"), ("fc2", "100", "50")]
    widths = re.findall(r'class="(before|after)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', text)
    first, second, third, fourth = (float(width) for _, width in widths[2:6])  # the key comes first
    assert [kind for kind, _ in widths[2:6]] == ["before", "after"] * 2
    assert second / first == pytest.approx(0.5, abs=0.01)
    assert third / first == pytest.approx(1 / 3, abs=0.01)
    assert fourth / second == pytest.approx(1 / 3, abs=0.01)


def test_certificates_are_drawn_beside_attacks_with_what_is_not_known():
    found = parsed(certified=CERTIFIED)
    assert (
        "fc1; an input was found that changes it by 20.5; no input changes it by more than 61.5"
        in found.labels()
    )
    assert (
        "fc2; an input was found that changes it by 22.5; nothing is proven; an activation jumps"
        in found.labels()
    )
    assert "output 1; no attack; no input changes it by more than 55.2" in found.labels()
    for words in ("no attack beats its certificate", "87.5 % of the samples", "130", "× 8.3"):
        assert words in found.text, words


def test_a_certificate_that_does_not_hold_is_said_aloud():
    stored = [CERTIFIED["stored"][0] | {"holds": False}]
    text = parsed(certified=CERTIFIED | {"holds": False, "stored": stored}).text
    assert "NOT every certificate holds" in text
    assert "NO 9.25" in text


def test_layers_left_whole_for_one_reason_are_named_together():
    whole = tuple(WholeRecord(name=name, reason="shared weights") for name in ("a", "b"))
    assert "shared weights a, b" in parsed(replace(RESULT, whole=whole)).text


def test_nothing_proven_is_said_with_its_reason():
    text = parsed(NOTHING_KNOWN).text
    assert "Nothing is proven of the outputs" in text
    assert "because it is no chain" in text
    assert 'The method "magnitude" prices no sizes' in text


def test_a_curve_that_a_file_leaves_out_is_no_method_without_one():
    record = RESULT.to_json()
    del record["curve"]
    text = html_of(pruned_page(record, Context(name="small.onnx", kind="onnx")))
    assert "leaves the curve out" in Parsed(text).text


def test_lossless_trades_no_error():
    text = parsed(LOSSLESS).text
    assert "no error was traded for size" in text
    assert "lossless, bottom up" not in text


def test_a_remark_keeps_the_name_of_its_layer():
    text = parsed().text
    assert "fc1 a remark on a layer" in text
    assert "Fc1" not in text


def test_names_are_text_and_never_markup():
    evil = "<script>alert(1)</script>"
    text = page(replace(RESULT, law=evil, notes=(evil,)), name=evil, certified=CERTIFIED)
    assert "<script>alert" not in text
    assert evil in Parsed(text).text


@pytest.mark.parametrize(
    ("context", "lines"),
    [
        (
            {"saved": "small", "factory": "nets:Made"},
            ["import coreprune", "from nets import Made", "coreprune.load('small', into=Made())"],
        ),
        ({}, ["result.save('small')", "original = ...", "coreprune.load('small', into=original)"]),
        ({"kind": "onnx", "saved": "s.onnx"}, ["onnxruntime.InferenceSession('s.onnx')"]),
    ],
)
def test_the_lines_that_load_it_are_there(context, lines):
    text = parsed(**context).text
    for line in lines:
        assert line in text
    assert ("result.save" in text) == ("saved" not in context)


def test_how_it_was_made_is_told():
    text = parsed(command="coreprune prune nets:Made --keep 0.5", versions={"torch": "2.99"}).text
    for words in ("SHA-256 fba7b163", "seed 17", "torch 2.99", "prune nets:Made", "normal inputs"):
        assert words in text


def test_many_layers_fit_and_are_told_apart():
    assert len(MANY.groups) == 27
    assert len(parsed(MANY).labels()) > 2 * 27
    assert "layer2.8.conv1" in parsed(MANY).text


def test_errors_in_the_units_of_readers_are_not_called_the_outputs():
    found = parsed(RESULTS["no derivatives"])
    for words in (
        "expected error, in the units of what reads the layers",
        "not in those of the outputs, which have no derivatives",
        "On queries of the law the outputs are off by 0.456",
    ):
        assert words in found.text, words
    for words in ("of the outputs, in their units", "own spread: 5.76", "diamond", "error of outp"):
        assert words not in found.text, words
    assert not any("measured error" in label for label in found.labels())


def test_what_samples_measured_is_of_those_that_chose():
    text = parsed(RESULTS["samples"]).text
    assert (
        "On the samples that chose the neurons, not held out, the outputs are off by 0.456" in text
    )
    assert "measured of it on the samples that chose the neurons." in text
    assert "not planned with" not in text
    assert "nothing beyond" not in text
    few = replace(RESULTS["samples"], notes=(f"{FEW}: fc1 (10 for 300)",))
    assert "with fewer samples than neurons this says nothing beyond them" in parsed(few).text


def test_samples_that_only_repair_saw_chose_nothing():
    result = replace(
        NOTHING_KNOWN, law=f"{SAMPLES}, sampled", measured_error=0.5, output_spread=1.0
    )
    assert "On the samples that repair learned from, not held out, the" in parsed(result).text


def test_outputs_that_do_not_vary_have_no_spread():
    text = parsed(RESULTS["no spread"]).text
    assert "off by 0.456 (root mean square); they do not vary there" in text
    assert "spread is" not in text

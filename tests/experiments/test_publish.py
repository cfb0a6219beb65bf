import json
from types import SimpleNamespace

import pytest

from experiments import __main__ as command
from experiments import figure
from experiments.publish import publish, with_results

README = "# Toy\n\n<!-- results -->\nold\n<!-- /results -->\n\nAn honest reading.\n"


def draw(results, path):
    drawing, axes = figure.one_panel()
    axes.plot(results["values"])
    figure.save(drawing, path)


TOY = SimpleNamespace(
    run=lambda *, quick: {"values": [1.5, 2.5] if quick else [1.0, 2.0, 3.0]},
    table=lambda results: f"| mean |\n|---|\n| {sum(results['values']):.1f} |",
    draw=draw,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "README.md").write_text(README)
    return tmp_path / "toy"


def test_the_results_block_is_replaced_and_the_rest_stays(folder):
    publish(TOY, TOY.run(quick=False), template=folder / "README.md", folder=folder)
    text = (folder / "README.md").read_text()
    assert text == with_results(README, "| mean |\n|---|\n| 6.0 |")
    assert text.startswith("# Toy\n")
    assert text.endswith("\nAn honest reading.\n")
    assert "old" not in text


def test_publishing_the_written_results_again_changes_no_byte(folder):
    publish(TOY, TOY.run(quick=False), template=folder / "README.md", folder=folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    results = json.loads((folder / "results.json").read_text())
    publish(TOY, results, template=folder / "README.md", folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert sorted(first) == ["README.md", "figure.svg", "results.json"]


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="<!-- results -->"):
        with_results("# Toy\n", "table")


def test_a_quick_run_leaves_the_published_files_alone(folder, monkeypatch, capsys):
    monkeypatch.setattr(command, "HERE", folder.parent)
    monkeypatch.setattr(command, "EXPERIMENTS", {"toy": TOY})
    assert command.main(["--quick"]) == 0
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    assert (folder / "README.md").read_text() == README
    quick = folder.parent / "quick" / "toy"
    assert json.loads((quick / "results.json").read_text()) == {"values": [1.5, 2.5]}
    assert "| 4.0 |" in (quick / "README.md").read_text()
    assert "toy" in capsys.readouterr().out


def test_republishing_measures_nothing(folder, monkeypatch):
    monkeypatch.setattr(command, "HERE", folder.parent)
    monkeypatch.setattr(command, "EXPERIMENTS", {"toy": TOY})
    (folder / "results.json").write_text('{"values": [40.0, 2.0]}')
    assert command.main(["toy", "--republish"]) == 0
    assert "| 42.0 |" in (folder / "README.md").read_text()


def test_an_unknown_experiment_is_refused_with_the_names_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "paper_table" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.EXPERIMENTS)
def test_every_experiment_has_a_readme_with_its_results(name):
    readme = (command.HERE / name / "README.md").read_text()
    assert (command.HERE / name / "figure.svg").stat().st_size < 200_000
    results = json.loads((command.HERE / name / "results.json").read_text())
    assert with_results(readme, command.EXPERIMENTS[name].table(results)) == readme

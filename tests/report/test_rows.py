from coreprune.report.rows import LETTER, label_width, shortened


def test_names_that_fit_stay():
    names = ["fc1", "conv2"]
    assert shortened(names, label_width(names)) == names


def test_what_all_begin_with_goes_first_so_that_numbers_stay():
    names = [f"bert.encoder.layer.{n}.intermediate.dense" for n in range(12)]
    room = label_width(names)
    found = shortened(names, room)
    assert found[3] == "…3.intermediate.dense"
    assert len(set(found)) == 12
    assert all(len(name) * LETTER <= room for name in found)


def test_a_name_without_points_loses_its_middle():
    assert shortened(["a" * 20 + "b" * 20], 100) == ["aaaaa…bbbbb"]

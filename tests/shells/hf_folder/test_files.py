from coreprune.shells.hf_folder.files import files_beside


def test_files_are_copied_unless_they_hold_weights(tmp_path):
    names = (
        "tokenizer.json", "vocab.txt", "README.md", "sub/config.json", "config.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json", "onnx/model.onnx", "extra.safetensors",
        ".git/HEAD", ".gitattributes",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    copied, left = files_beside(tmp_path, written=frozenset({"config.json"}))
    assert copied == [
        ".gitattributes", "README.md", "sub/config.json", "tokenizer.json", "vocab.txt"
    ]  # fmt: skip
    assert left == [
        "extra.safetensors", "onnx/model.onnx", "pytorch_model.bin", "pytorch_model.bin.index.json"
    ]  # fmt: skip


def test_links_count_as_what_they_lead_to(tmp_path):
    (tmp_path / "blob").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "vocab.txt").symlink_to(tmp_path / "blob")
    assert files_beside(tmp_path / "folder", written=frozenset()) == (["vocab.txt"], [])

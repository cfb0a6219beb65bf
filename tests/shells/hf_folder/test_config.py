"""What config.json says of the class that reads a folder."""

import json

import pytest

from coreprune.shells.hf_folder.config import read_config


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ({"architectures": ["GPT2LMHeadModel", "GPT2Model"]}, "GPT2LMHeadModel"),
        ({}, "AutoModel"),
        ({"architectures": []}, "AutoModel"),
        ({"architectures": "GPT2LMHeadModel"}, "AutoModel"),
        ({"architectures": [3]}, "AutoModel"),
        ({"architectures": ["x; import os"]}, "AutoModel"),
        ({"architectures": ["Own"], "auto_map": {"AutoModel": "own.Own"}}, "AutoModel"),
    ],
)
def test_the_class_is_the_first_that_is_named_and_can_be_one(tmp_path, entries, name):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **entries}))
    assert read_config(tmp_path).model_class == name

"""What the networks make of real inputs, as the packages that bring them use them."""

import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

from experiments.onnx_files.text import Pixels

Numbers = np.ndarray

_RATE, _FRAME, _CONTEXT = 16_000, 512, 64
_STATE = 128
_SHORT_SIDE, _MULTIPLE = 736, 32
_LINE_HEIGHT, _LINE_WIDTH = 48, 320
_TURNED_WIDTH = 192
_ABOVE = 0.3
_BLOCK, _ENDS, _PADDING = 4096, 1024, 256


def session(path: Path) -> onnxruntime.InferenceSession:
    """A file ready to run on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def speech(path: Path, sounds: Sequence[Path]) -> Numbers:
    """The probability of speech in every 32 ms of sound.

    Args:
        path: A sequence network of silero-vad.
        sounds: Wave files at 16 kHz with one channel.

    Returns:
        Shape (frames,).
    """
    running = session(path)
    return np.concatenate([_speech_in(running, sound) for sound in sounds])


def _speech_in(running: onnxruntime.InferenceSession, sound: Path) -> Numbers:
    with wave.open(str(sound)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (_RATE, 1, 2):
            raise ValueError(f"{sound} must have one channel of 16-bit samples at {_RATE} Hz")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    frames = np.zeros((-(-len(samples) // _FRAME), _FRAME), dtype=np.float32)
    frames.reshape(-1)[: len(samples)] = samples
    before = np.zeros((len(frames), _CONTEXT), dtype=np.float32)
    before[1:] = frames[:-1, -_CONTEXT:]
    state = np.zeros((1, 1, _STATE), dtype=np.float32)
    inputs = {"input": np.concatenate([before, frames], axis=1), "h": state, "c": state}
    return running.run(["speech_probs"], inputs)[0]


def text_masks(path: Path, pictures: Sequence[Pixels]) -> list[Numbers]:
    """Where rapidocr's detector sees text.

    Args:
        path: The network.
        pictures: Grey levels.

    Returns:
        Truth values, one for each pixel of the enlarged picture.
    """
    running = session(path)
    found = []
    for pixels in pictures:
        ratio = max(1.0, _SHORT_SIDE / min(pixels.shape))
        sizes = [round(side * ratio / _MULTIPLE) * _MULTIPLE for side in pixels.shape]
        given = _scaled(pixels, sizes[0], sizes[1])
        found.append(running.run(None, {"x": given[None]})[0][0, 0] > _ABOVE)
    return found


def read_lines(path: Path, lines: Sequence[Pixels]) -> list[str]:
    """What rapidocr's recogniser reads, one line after the other.

    Args:
        path: The network, whose metadata name its characters.
        lines: Grey levels.

    Returns:
        Texts.
    """
    running = session(path)
    letters = running.get_modelmeta().custom_metadata_map["character"].splitlines()
    table = ["", *letters, " "]
    found = []
    for pixels in lines:
        width = round(_LINE_HEIGHT * pixels.shape[1] / pixels.shape[0])
        given = np.zeros((3, _LINE_HEIGHT, max(width, _LINE_WIDTH)), dtype=np.float32)
        given[:, :, :width] = _scaled(pixels, _LINE_HEIGHT, width)
        best = running.run(None, {"x": given[None]})[0][0].argmax(axis=1)
        kept = best[np.append(True, best[1:] != best[:-1])]
        found.append("".join(table[place] for place in kept))
    return found


def upside_down(path: Path, lines: Sequence[Pixels]) -> Numbers:
    """How likely each line is upside down, by rapidocr's classifier.

    Args:
        path: The network.
        lines: Grey levels.

    Returns:
        Shape (lines,).
    """
    running = session(path)
    found = []
    for pixels in lines:
        width = round(_LINE_HEIGHT * pixels.shape[1] / pixels.shape[0])
        given = np.zeros((3, _LINE_HEIGHT, _TURNED_WIDTH), dtype=np.float32)
        width = min(width, _TURNED_WIDTH)
        given[:, :, :width] = _scaled(pixels, _LINE_HEIGHT, width)
        found.append(running.run(None, {"x": given[None]})[0][0, 1])
    return np.array(found)


def kinds(path: Path, contents: Sequence[bytes]) -> list[str]:
    """What kind of file each content is, by magika.

    Args:
        path: The network, beside its `config.min.json`.
        contents: Of files.

    Returns:
        Labels.
    """
    labels = json.loads(path.with_name("config.min.json").read_text())["target_labels_space"]
    rows = np.array([_ends(content) for content in contents], dtype=np.int32)
    best = session(path).run(None, {"bytes": rows})[0].argmax(axis=1)
    return [labels[place] for place in best]


def _ends(content: bytes) -> list[int]:
    first = list(content[:_BLOCK].lstrip()[:_ENDS])
    last = list(content[-_BLOCK:].rstrip()[-_ENDS:])
    gap = [_PADDING] * (_ENDS - len(first)), [_PADDING] * (_ENDS - len(last))
    return [*first, *gap[0], *gap[1], *last]


def _scaled(pixels: Pixels, height: int, width: int) -> Numbers:
    """A picture of another size, from −1 to 1. Shape (3, height, width)."""
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(image, dtype=np.float32)[None] / 127.5 - 1, 3, axis=0)


def contents_of(file: Path) -> onnx.ModelProto:
    """The message in a file, checked by onnx's own checker with its shapes inferred."""
    onnx.checker.check_model(str(file), full_check=True)
    return onnx.load(file)

"""An .onnx file in, a smaller .onnx file out: names, inputs and outputs stay."""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

import coreprune

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 50), nn.ReLU(), nn.Linear(50, 5))

with tempfile.TemporaryDirectory() as folder:
    # Somebody exported a network; here we do it ourselves, pruning nothing.
    original = Path(folder) / "original.onnx"
    coreprune.prune(net, torch.randn(1, 64), keep=1.0).to_onnx(original)

    # The file says what its inputs are like, so no example is needed.
    result = coreprune.prune(original, keep=0.5)
    small = Path(folder) / "small.onnx"
    result.save(small)
    print(result)
    print(f"{original.stat().st_size:,} → {small.stat().st_size:,} bytes")

    # Any runtime reads it.
    inputs = np.random.default_rng(0).standard_normal((256, 64), dtype=np.float32)
    outputs = []
    for file in (original, small):
        session = onnxruntime.InferenceSession(file)
        outputs += session.run(None, {session.get_inputs()[0].name: inputs})
    off = float(np.sqrt(((outputs[0] - outputs[1]) ** 2).mean()))
    print(f"outputs are off by {off:.3f} (root mean square), and vary by {outputs[0].std():.3f}")

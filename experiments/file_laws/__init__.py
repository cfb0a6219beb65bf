"""Which law of images suits ONNX files whose batch normalisations the exporter folded away."""

"""ONNX files: read, lowered to the neutral graph, run, cut and written; never a torch module."""

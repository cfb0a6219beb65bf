"""ONNX graphs in torch's words, for their derivatives alone: values are ONNX Runtime's."""

"""The dense part of VGG-16, the paper's second row."""

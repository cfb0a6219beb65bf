"""The shell for `torch.nn.Module`."""

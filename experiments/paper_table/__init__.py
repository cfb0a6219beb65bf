"""The headline figure: LeNet-300-100 with a tenth of its parameters."""

"""The parts of the documentation that are made from results and from the program."""

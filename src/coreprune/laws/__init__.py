"""From laws of the queries to calls of the network: which law, drawn how, how large inputs get."""

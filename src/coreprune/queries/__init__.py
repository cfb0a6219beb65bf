"""Laws of the queries: what inputs are like and how large they get, one a file."""

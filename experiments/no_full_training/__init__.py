"""A coreset taken before the network has learnt."""

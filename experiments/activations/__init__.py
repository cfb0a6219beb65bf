"""The coreset of a layer under every activation of the family."""

"""What sizes cost and how a budget is shared between groups."""

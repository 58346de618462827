"""Starting a run from the weights of another model."""

"""Images, and the features that networks extract from them."""

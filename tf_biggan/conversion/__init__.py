"""Converts checkpoints of other BigGAN implementations to models of this package, and back."""

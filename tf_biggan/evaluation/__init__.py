"""Scores of images, and where the images, the features and the references come from."""

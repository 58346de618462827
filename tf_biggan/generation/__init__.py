"""From a model, seeds, classes and a truncation to images."""

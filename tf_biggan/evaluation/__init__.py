"""Evaluation: feature extractors, scores such as FID and IS, protocols, and files of scores."""

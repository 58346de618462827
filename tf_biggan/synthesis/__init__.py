"""Pictures of a trained generator: samples, interpolations, inversions, neighbours."""

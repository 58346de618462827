"""The sample, interpolate, invert and neighbours commands; sheets and animations."""

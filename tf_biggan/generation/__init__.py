"""Generation: latents, images, standing statistics, interpolation paths and inversion."""

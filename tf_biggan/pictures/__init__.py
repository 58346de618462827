"""Pictures of a model: sheets, animations, sets of images."""

"""Sources of labelled images, preprocessing, the input pipeline and `prepare`."""

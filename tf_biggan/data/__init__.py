"""Sources of labelled images, preprocessing, the input pipeline, preparation of records."""

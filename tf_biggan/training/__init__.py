"""What moves a model: so far, its moving average."""

"""Training: the training step, the loop around it, checkpoints, logs and fine-tuning."""

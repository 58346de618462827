"""Settings of a run that trains within seconds, which tests of training vary."""

from __future__ import annotations

SMALL_RUN = dict(
    dataset="digits",
    resolution=16,
    image_channels=1,
    g_channels=2,
    d_channels=2,
    latent_dim=8,
    global_batch_size=8,
    log_every=1,
    sample_every=0,
    sigma_every=0,
)

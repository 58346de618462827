"""Settings for all benchmarks of a training iteration, as fields of `TrainConfig`.

Benchmarks on CPUs run all of `SETTINGS`. `GPU_SETTINGS` are too large for a CPU.
"""

from __future__ import annotations

SHARED = dict(num_classes=10, g_initializer="n02", d_initializer="n02")
ACCUMULATED = dict(d_accumulations=8, g_accumulations=8)
ATTENTION_64 = dict(resolution=64, g_channels=32, d_channels=32, global_batch_size=16)
HIERARCHICAL_128 = dict(
    resolution=128,
    g_channels=16,
    d_channels=16,
    global_batch_size=8,
    latent_dim=120,
    latent_injection="split",
    embedding_dim=128,
)
DEEP_64 = dict(
    variant="biggan_deep", resolution=64, g_channels=32, d_channels=32, global_batch_size=16
)
SETTINGS = {
    "32px": dict(resolution=32, g_channels=16, d_channels=16, global_batch_size=50, num_d_steps=2),
    "32px_wide": dict(resolution=32, g_channels=32, d_channels=32, global_batch_size=32),
    "64px_attention": ATTENTION_64,
    "64px_attention_accumulated": {**ATTENTION_64, **ACCUMULATED, "global_batch_size": 128},
    "128px_hierarchical": HIERARCHICAL_128,
    "deep_64px": DEEP_64,
    "deep_64px_accumulated": {**DEEP_64, **ACCUMULATED, "global_batch_size": 128},
    "32px_4_d_steps": dict(
        resolution=32, g_channels=16, d_channels=16, global_batch_size=50, num_d_steps=4
    ),
}
# The published iterations of CIFAR-10 and, with a quarter of an accumulation step's images, of
# ImageNet at 128 px: configs/cifar10_biggan_pytorch.flags and configs/imagenet128_biggan_pytorch.
GPU_SETTINGS = {
    "cifar10": dict(
        resolution=32,
        g_channels=64,
        d_channels=64,
        global_batch_size=50,
        num_d_steps=4,
        ema_start=1000,
    ),
    "imagenet128": {
        **HIERARCHICAL_128,
        **dict(num_classes=1000, g_channels=96, d_channels=96, global_batch_size=64),
        **dict(g_learning_rate=1e-4, d_learning_rate=4e-4, adam_epsilon=1e-6),
    },
}


def train_config(name: str, **overrides):
    """Returns the `TrainConfig` of a setting."""
    from tf_biggan.cli.train_settings import TrainConfig

    return TrainConfig.from_flat({**SHARED, **{**SETTINGS, **GPU_SETTINGS}[name], **overrides})


def compiled_step(config, jit_compile: bool = False):
    """Returns the state, a compiled function that runs one iteration, and its arguments.

    The arguments are an iterator over random images and labels, and the number of iterations.
    """
    import numpy as np
    import tensorflow as tf

    from tf_biggan.data.label_distribution import LabelDistribution
    from tf_biggan.training.start import create_state
    from tf_biggan.training.train_step import batch_plan, compile_iterations, input_sampler

    state, step = create_state(config), config.step
    classes, size = config.model.num_classes, batch_plan(step, 1)["d"]
    uniform = LabelDistribution(np.full(classes, 1 / classes))
    sampler = input_sampler(state, step, 0, uniform, 1)
    run = compile_iterations(tf.distribute.get_strategy(), state, step, sampler, jit_compile)
    random = np.random.RandomState(0)
    shape = (4, size, *state.generator.image_size, config.model.image_channels)
    images = random.uniform(-1, 1, shape).astype(np.float32)
    labels = random.randint(0, classes, shape[:2]).astype(np.int32)
    data = iter(tf.data.Dataset.from_tensor_slices((images, labels)).repeat())
    return state, run, (data, tf.constant(1))

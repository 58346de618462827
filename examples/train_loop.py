"""Trains BigGAN's networks in a loop of your own: python examples/train_loop.py

Each iteration of the loop updates the discriminator, the generator and the moving average once. The
script trains on the hand-written digits in the package and ends within a minute. The command
`python -m tf_biggan.train` also has checkpoints, logs and training on several devices.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_biggan import LOSSES, Discriminator, Generator, make_dataset, open_source, update_ema

CLASSES = 10
BATCH = 16


def make_networks(channels: int):
    """Returns a generator, its moving average and a discriminator for grey images of 32x32."""
    sizes = dict(base_channels=channels, image_channels=1)
    generator, average = (
        Generator("biggan32", CLASSES, latent_dim=32, seed=0, **sizes) for _ in range(2)
    )
    return generator, average, Discriminator("biggan32", CLASSES, seed=0, **sizes)


def random_inputs(latent_dim: int):
    """Returns latent vectors [BATCH, latent_dim] and class labels [BATCH]."""
    z = tf.random.normal((BATCH, latent_dim))
    return z, tf.random.uniform((BATCH,), maxval=CLASSES, dtype=tf.int32)


def main(iterations: int = 20, channels: int = 4) -> tf.Tensor:
    """Trains, and returns one image of each class made by the moving average, [10, 32, 32, 1]."""
    generator, average, discriminator = make_networks(channels)
    g_adam, d_adam = (keras.optimizers.Adam(rate, beta_1=0.0) for rate in (5e-4, 1e-3))
    g_adam.build(generator.trainable_variables)
    d_adam.build(discriminator.trainable_variables)
    loss = LOSSES["hinge"]

    @tf.function(autograph=False)
    def iteration(real, labels):  # [BATCH, 32, 32, 1] in [-1, 1], [BATCH]
        z, fake_labels = random_inputs(generator.latent_dim)
        fake = generator(z, fake_labels, training=True)  # [BATCH, 32, 32, 1]
        with tf.GradientTape() as tape:
            # Real and generated images pass through the discriminator as one batch.
            both = tf.concat([fake, real], axis=0)  # [2 * BATCH, 32, 32, 1]
            logits = discriminator(both, tf.concat([fake_labels, labels], axis=0), training=True)
            fake_logits, real_logits = tf.split(logits, 2)  # [BATCH] each
            real_loss, fake_loss = loss.discriminator(real_logits, fake_logits)  # [BATCH] each
            d_loss = tf.reduce_mean(real_loss) + tf.reduce_mean(fake_loss)
        variables = discriminator.trainable_variables
        d_adam.apply(tape.gradient(d_loss, variables), variables)

        z, fake_labels = random_inputs(generator.latent_dim)
        with tf.GradientTape() as tape:
            fake = generator(z, fake_labels, training=True)
            fake_logits = discriminator(fake, fake_labels, training=True)
            g_loss = tf.reduce_mean(loss.generator(fake_logits))
        variables = generator.trainable_variables
        g_adam.apply(tape.gradient(g_loss, variables), variables)
        update_ema(average, generator, 0.9)  # average = 0.9 * average + 0.1 * generator
        return d_loss, g_loss

    data = make_dataset(
        open_source("digits"), image_size=32, image_channels=1, batch_size=BATCH, seed=0
    )
    for number, (real, labels) in enumerate(data.take(iterations), start=1):
        d_loss, g_loss = iteration(real, labels)
        print(f"{number}: discriminator {d_loss:.3f}, generator {g_loss:.3f}")
    z, _ = random_inputs(generator.latent_dim)
    return average(z[:CLASSES], tf.range(CLASSES))


if __name__ == "__main__":
    print("Images of the moving average:", main().shape)

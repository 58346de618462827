"""Runs a preparation from its settings: opens the images, describes them and writes TFRecords."""

from __future__ import annotations

from tf_biggan.cli.prepare_settings import PrepareConfig
from tf_biggan.data import schemes, source, tfrecord_writer


def prepare(config: PrepareConfig) -> None:
    """Writes the images that the settings name as TFRecord files, or resumes an interrupted call.

    Raises:
      ValueError: the images cannot be read, or the output was written with other settings.
    """
    config.require_given()
    opened = schemes.open_source(
        config.source, split=config.split, data_dir=config.data_dir, download=config.download
    )
    print(*source.describe(opened), sep="\n")
    description = tfrecord_writer.prepare(
        opened,
        config.output,
        image_size=config.resolution,
        image_channels=config.image_channels,
        image_format=config.format,
        num_shards=config.num_shards,
        num_workers=config.num_workers,
    )
    print(
        f"Wrote {description['num_images']:,} images in {len(description['shards'])} files."
        f" Train with --dataset=tfrecord:{config.output}"
    )

"""Protocols: how other programs make the choices that the definitions of scores leave open.

Protocols in `REFUSED` are not offered. torch-fidelity, mmagic and StyleGAN3 compute precision and
recall with a VGG16, so these metrics are not part of their protocols here.
"""

from __future__ import annotations

import dataclasses

from tf_biggan import checks

CONTENT, NATURAL = "content", "natural"
ALL_METRICS = (
    "fid",
    "is",
    "kid",
    "precision_recall",
    "density_coverage",
    "fid_infinity",
    "intra_fid",
    "accuracy",
)
_UNSAID = ("num_images", "metrics", "decimals")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The choices of one program.

    Attributes:
      name: name for `--protocol`.
      source: where the choices are documented.
      num_images: number of images to generate. If a set of images is given, all of them are used.
      reference_split: split of a TensorFlow Datasets reference; None for the split in the settings.
      label_sampling: how labels of generated images are sampled.
      bias: whether Inception's logits include the bias of its last layer.
      splits: number of splits whose Inception Scores are averaged.
      order: order of the images: "content" (sorted by a hash of their pixels, so that the order of
        files does not matter) or "natural" (not sorted).
      shuffle_seed: seed that shuffles the images before they are split for the Inception Score;
        None for no shuffle.
      kid_subsets: number of subsets of the kernel distance.
      kid_subset_size: number of generated and of real images in a subset.
      kid_seed: seed of the subsets.
      neighbours: k of precision and recall.
      decimals: number of decimals in the table on the terminal.
      is_resize: how images are resized to 299 pixels for the Inception Score: "tf1" (as for FID)
        or "pil_bicubic".
      metrics: metrics that this protocol reproduces.
    """

    name: str
    source: str
    num_images: int = 50_000
    reference_split: str | None = None
    label_sampling: str = "uniform"
    bias: bool = False
    splits: int = 10
    order: str = CONTENT
    shuffle_seed: int | None = None
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    kid_seed: int = 2020
    neighbours: int = 3
    decimals: int = 4
    is_resize: str = "tf1"
    metrics: tuple[str, ...] = ALL_METRICS

    def description(self) -> dict:
        """Returns the choices as JSON values for a file of scores."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in _UNSAID}


DEFAULT = Protocol("tf_biggan", "this package")
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        DEFAULT,
        Protocol(
            "paper",
            "Brock et al. 2019: 50,000 images, moments of the training images, TensorFlow's"
            " Inception; the paper does not tell the order of the images; natural is assumed",
            reference_split="train",
            order=NATURAL,
            decimals=2,
            metrics=("fid", "is"),
        ),
        Protocol(
            "torch_fidelity",
            "toshas/torch-fidelity: images in the order of a shuffle by seed 2020",
            order=NATURAL,
            shuffle_seed=2020,
            metrics=("fid", "is", "kid"),
        ),
        Protocol(
            "stylegan",
            "NVlabs/stylegan3: labels as in the data, all training images",
            reference_split="train",
            label_sampling="data",
            order=NATURAL,
            metrics=("fid", "is"),
        ),
        Protocol(
            "mmagic",
            "open-mmlab/mmagic: for the inception score images are resized by PIL first",
            reference_split="train",
            order=NATURAL,
            is_resize="pil_bicubic",
            metrics=("fid", "is"),
        ),
    )
}

REFUSED = {
    "compare_gan": "its images are not rounded to bytes before Inception sees them",
    "pytorch_fid": "it resizes images with aligned pixel centres, unlike the graph of 2015",
}


def get_protocol(name: str) -> Protocol:
    """Returns a protocol by its name.

    Raises:
      ValueError: no protocol has that name.
    """
    checks.require(
        name not in REFUSED,
        f"the protocol of {name} is not reproduced here: {REFUSED.get(name)}; use one of"
        f" {', '.join(PROTOCOLS)}",
        protocol=name,
    )
    checks.require_choice("protocol", name, tuple(PROTOCOLS))
    return PROTOCOLS[name]

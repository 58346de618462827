"""Protocols: what others chose where a score leaves a choice, as data.

Those of `REFUSED` are not offered. torch-fidelity, mmagic and StyleGAN3 take precision and recall
from a VGG16, so that those are not among their metrics here.
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


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The choices of one code base.

    Attributes:
      name: for `--protocol`.
      source: where they are written down.
      num_images: generated images; of a set of images all are taken.
      reference_split: of a tfds data set; None for the one that is given.
      label_sampling: of generated images.
      bias: whether logits keep the output bias.
      splits: parts whose inception scores are averaged.
      order: of the images: "content" (by a hash of their pixels, so that no order of files shows)
        or "natural".
      shuffle_seed: of the order in which they are split for the inception score; None for none.
      kid_subsets, kid_subset_size, kid_seed: of the kernel distance.
      neighbours: k of precision and recall.
      decimals: of the table on the terminal.
      is_resize: how images reach 299 pixels for the inception score: "tf1", as for FID, or
        "pil_bicubic".
      metrics: those that are computed as there.
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
        """JSON values for a file of scores."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in _UNSAID}


_UNSAID = ("num_images", "metrics", "decimals")

DEFAULT = Protocol("tf_biggan", "this package")
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        DEFAULT,
        Protocol(
            "paper",
            "Brock et al. 2019: 50,000 images, moments of the training images, TensorFlow's"
            " Inception; the order is not told and taken as natural",
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
    "compare_gan": "it feeds Inception floats that were never rounded to bytes",
    "pytorch_fid": "it resizes with the centres of pixels on one another, as the graph does not",
}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
      ValueError: there is none.
    """
    checks.require(
        name not in REFUSED,
        f"the protocol of {name} is not reproduced: {REFUSED.get(name)}; `protocol` must be one of"
        f" {', '.join(PROTOCOLS)}",
        protocol=name,
    )
    checks.require_choice("protocol", name, tuple(PROTOCOLS))
    return PROTOCOLS[name]

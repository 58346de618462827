"""Installation of tf_biggan: what it needs, and why each bound is there."""

from setuptools import find_packages, setup

setup(
    name="tf_biggan",
    version="0.1.0",
    description="BigGAN and BigGAN-deep for TensorFlow 2 and Keras 3, equal to the reference",
    license="Apache-2.0",
    # The bundled data have licences of their own.
    license_files=[
        "LICENSE",
        "tf_biggan/imagenet_attribution.txt",
        "tf_biggan/data/digits_attribution.txt",
    ],
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["tf_biggan", "tf_biggan.*"]),
    package_data={
        "tf_biggan.data": [
            "digits.npz",
            "digits_attribution.txt",
            "imagenet_classes.txt",
            "imagenet_attribution.txt",
        ],
        "tf_biggan.serving": ["page.html", "page.css", "page.js", "icon.svg"],
    },
    python_requires=">=3.11",
    install_requires=[
        # TPU wheels of TensorFlow lag behind, so nothing newer than 2.18 is required.
        "tensorflow>=2.18",
        "keras>=3.12",
        "tensorflow-datasets>=4.9.8",
        # tensorflow-datasets imports it and declares it for old Pythons only.
        "importlib_resources",
        "tensorflow-hub>=0.16.1",
        # tensorflow-hub imports pkg_resources, which setuptools 81 announced to drop.
        "setuptools<81",
        "absl-py>=2.1",
        "numpy>=1.26",
        "pillow>=10.4",
        "safetensors>=0.5",
        # Decompositions of features slow down many times on two threads of a busy machine.
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "torch": ["torch"],
        "serving": ["tensorflow-serving-api"],
        # The local server of python -m tf_biggan.export --serve.
        "serve": ["aiohttp>=3.10"],
        "tensorboard": ["tensorboard"],
        # torch writes the files that the converter's tests read; this one made the golden numbers.
        "test": [
            "pytest",
            "pytest-xdist>=3.8",
            "ruff",
            "scipy",
            "torch==2.13.0",
            "aiohttp>=3.10",
            "PyYAML",
        ],
        # What the slow comparisons with other implementations need beside it.
        "peers": ["pytorch-pretrained-biggan==0.1.1", "boto3", "requests", "tqdm"],
    },
)

"""Features of Inception, compared with torch-fidelity's for the same images and weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.inception import inception_rule
from tests.golden_files import golden, manifest_weights
from tf_biggan.evaluation.inception.inception_network import TAPS, Inception, convolutions, resize
from tf_biggan.evaluation.inception.weight_files import open_weight_file

GOLDEN = golden("inception_public")
SIZES = [(32, 32), (128, 128), (299, 299), (320, 200)]


@pytest.fixture(scope="module")
def network():
    return Inception(inception_rule.folded(), TAPS)


@pytest.mark.parametrize("index", range(4), ids=[f"{h}x{w}" for h, w in SIZES])
def test_every_tap_is_torch_fidelitys(network, index):
    image = GOLDEN.arrays[f"image{index}"]
    assert image.shape == (*SIZES[index], 3)
    features = network.features(image[None])
    assert list(features) == list(TAPS)
    for tap in TAPS:
        expected = GOLDEN.arrays[f"feat_{tap}"][index]
        assert features[tap].shape == (1, len(expected)) and features[tap].dtype == np.float32
        np.testing.assert_allclose(features[tap][0], expected, rtol=0, atol=2e-5, err_msg=tap)


@pytest.mark.parametrize("index", range(4), ids=[f"{h}x{w}" for h, w in SIZES])
def test_resize_is_tensorflow_1s(index):
    image = GOLDEN.arrays[f"image{index}"]
    resized = resize(image[None]).numpy()[0]
    expected = GOLDEN.arrays[f"resized{index}_sub"]
    np.testing.assert_allclose(resized[::7, ::7], expected, rtol=0, atol=2e-5)
    summary = GOLDEN.info[f"resized{index}"]
    assert resized.mean(dtype=np.float64) == pytest.approx(summary["mean"], abs=2e-5)
    assert resized.std(dtype=np.float64) == pytest.approx(summary["std"], abs=2e-5)


def test_size_of_the_batch_does_not_matter(network):
    images = np.random.RandomState(0).randint(0, 256, (3, 40, 50, 3)).astype(np.uint8)
    together = network.features(images)
    alone = network.features(images[2:])
    for tap in TAPS:
        np.testing.assert_allclose(together[tap][2:], alone[tap], rtol=0, atol=5e-6)


def test_only_what_is_asked_for_is_computed():
    network = Inception(inception_rule.folded(), ["192"])
    images = GOLDEN.arrays["image0"][None]
    (features,) = network.features(images).values()
    np.testing.assert_allclose(features, GOLDEN.arrays["feat_192"][:1], rtol=0, atol=2e-5)
    graph = network.graph
    assert len([node for node in graph.get_operations() if node.type == "Conv2D"]) == 5


def test_bfloat16_is_of_all_but_the_pixels_and_near_torch_fidelity():
    network = Inception(inception_rule.folded(), ["64", "2048", "logits"], dtype="bfloat16")
    for index in range(4):
        features = network.features(GOLDEN.arrays[f"image{index}"][None])
        for tap, found in features.items():
            expected = GOLDEN.arrays[f"feat_{tap}"][index]
            assert found.dtype == np.float32
            off = np.linalg.norm(found[0] - expected) / np.linalg.norm(expected)
            assert off < 0.01, (tap, off)
    convolutions_made = [op for op in network.graph.get_operations() if op.type == "Conv2D"]
    dtypes = [op.outputs[0].dtype.name for op in convolutions_made]
    assert dtypes[0] == "float32" and set(dtypes[1:]) == {"bfloat16"} and len(dtypes) > 50


def test_the_table_has_the_shapes_of_the_manifest():
    weights = manifest_weights("inception_public")
    kernels = {key: value.shape for key, value in weights.items() if key.endswith("conv.weight")}
    of_table = {
        f"{conv.name}.conv.weight": (conv.filters, channels, *conv.kernel)
        for conv, channels in convolutions()
    }
    assert of_table == kernels


def test_wrong_arguments_are_refused(network):
    with pytest.raises(ValueError, match="`tap` must be one of 64, 192, 768, 2048, logits"):
        Inception(inception_rule.folded(), ["pool_3"])
    with pytest.raises(ValueError, match="must name at least one output"):
        Inception(inception_rule.folded(), [])
    for wrong in (
        np.zeros((1, 8, 8, 3)),
        np.zeros((8, 8, 3), "uint8"),
        np.zeros((1, 8, 8, 1), "uint8"),
    ):
        with pytest.raises(ValueError, match=r"uint8 of shape \[N, H, W, 3\]"):
            network.features(wrong)
    broken = {**inception_rule.folded(), "fc": (np.zeros((2048, 1000)), np.zeros(1000))}
    with pytest.raises(ValueError, match=r"weights\['fc'\]` must have the shapes \(2048, 1008\)"):
        Inception(broken)
    del broken["fc"]
    with pytest.raises(ValueError, match=r"weights\['fc'\]`"):
        Inception(broken)


def test_every_constant_of_the_graph_has_its_place(tmp_path):
    graph = inception_rule.graph()
    names = {node.name for node in graph.node}
    # These names are in published listings of the original graph: mixed_10 and its deepest scopes.
    assert {
        "conv/conv2d_params",
        "mixed/tower_1/conv_2/batchnorm/moving_variance",
        "mixed_8/tower_1/conv_3/conv2d_params",
        "mixed_10/tower_1/mixed/conv_1/batchnorm/gamma",
        "mixed_10/tower_2/conv/batchnorm/beta",
        "softmax/biases",
    } <= names
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    inception_rule.assert_is_rule(open_weight_file(str(tmp_path / "graph.pb")).folded())

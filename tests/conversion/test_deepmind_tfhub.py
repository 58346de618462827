"""Modules with the names of DeepMind's give the images of their PyTorch ports."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tests.conversion.command import converted, save, torch_tensors
from tests.conversion.hub_modules import hub_sigma, statistics_graph, write_module
from tests.conversion.key_lists import key_lists
from tests.golden import rule
from tests.golden_files import golden
from tf_biggan.conversion import deepmind
from tf_biggan.conversion.readers.tensorflow import Graph, read_variables
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.networks.network import variables_by_path

EMA = "/ema_0.9999"


@pytest.fixture(scope="module")
def graph():
    tensors = golden("hf_tiny128").weights("")
    return statistics_graph([tensors[key] for _, key in key_lists()["hf_stacks_128"]])


def _deep_variables(fixture, factor):
    """Returns the variables of a BigGAN-deep module from the tensors of its PyTorch port.

    Args:
      factor: of every normalised kernel; the modules' epsilon is small beside large ones.
    """
    tensors = fixture.weights("")
    variables = {}
    for name, _, key, _ in key_lists()["hf_tf_128"]:
        if name.endswith("/u0"):
            # The vector from which one step of power iteration gives the fixture's (u, v).
            shape = tensors[key].shape
            variables[name] = rule._unit(rule._randn(key, shape, "")).astype("float32")[None]
            variables[name.replace("u0", "u1")] = np.zeros_like(variables[name])
            continue
        value = tensors[key] * np.float32(factor if key.endswith("weight_orig") else 1)
        if value.ndim > 1:
            value = np.transpose(value, (2, 3, 1, 0) if value.ndim == 4 else (1, 0))
        variables[name] = (
            value[None, None] if re.search("BatchNorm/(scale|offset)/ema", name) else value
        )
        variables[name.removesuffix(EMA)] = np.full_like(variables[name], np.nan)
    variables["global_step"] = np.array(7, "int64")
    return variables


def test_a_deep_module_gives_the_images_of_its_port(graph, tmp_path):
    fixture = golden("hf_tiny128")
    module = write_module(
        tmp_path / "module", _deep_variables(fixture, 1e3), graph, scope="module/"
    )
    networks, provenance = converted(module, tmp_path / "model")
    for truncation in (1.0, 0.43):
        images = networks["generator"](
            fixture.arrays["in/z"], fixture.arrays["in/y"], truncation=truncation
        )
        fixture.assert_close(images, f"out_t{truncation}")
    changes = " ".join(provenance["changes"]["generator"])
    assert "their moving averages are" in changes and "1 variables not used: a counter" in changes
    assert "constants of the graph" in changes


def test_sigma_has_the_modules_arithmetic():
    """With small kernels, the epsilon in the modules' arithmetic matters."""
    variables = _deep_variables(golden("hf_tiny128"), 0.05)
    stored = Tensors({name: StoredTensor.of(array) for name, array in variables.items()})
    tensors = deepmind.with_port_names(deepmind.averages(stored)[0])
    names = [row[0] for row in key_lists()["hf_tf_128"] if row[0].endswith("/u0")]
    keys = [row[2] for row in key_lists()["hf_tf_128"] if row[0].endswith("/u0")]
    for name, key in zip(names, keys, strict=True):
        kernel = variables[name.removesuffix("u0") + "w" + EMA]
        prefix = key.removesuffix("_u")
        weight = tensors[f"{prefix}_orig"]
        sigma = tensors[f"{prefix}_u"] @ weight.reshape(len(weight), -1) @ tensors[f"{prefix}_v"]
        expected = hub_sigma(kernel, variables[name])
        np.testing.assert_allclose(sigma, expected, rtol=1e-5, err_msg=name)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        v = matrix @ variables[name][0]
        without_epsilon = np.linalg.norm(v @ matrix) / np.linalg.norm(v)
        assert sigma < 0.999 * without_epsilon, name


@pytest.mark.slow
def test_a_module_gives_the_images_of_its_port_file(graph, tmp_path):
    """Small kernels are used, for which the modules' epsilon matters."""
    fixture = golden("hf_tiny128")
    variables = _deep_variables(fixture, 0.05)
    module = write_module(tmp_path / "module", variables, graph)
    tensors = dict(fixture.weights(""))
    for name, _, key, _ in key_lists()["hf_tf_128"]:
        if name.endswith("/u0"):
            prefix = key.removesuffix("weight_u")
            weight = tensors[f"{prefix}weight_orig"] * np.float32(0.05)
            tensors[f"{prefix}weight_orig"] = weight
            matrix = weight.reshape(len(weight), -1).astype("float64")
            v = matrix.T @ variables[name][0]
            v /= np.sqrt((v * v).sum() + 1e-4)
            u = matrix @ v
            u /= np.sqrt((u * u).sum() + 1e-4)
            tensors |= {key: u.astype("float32"), f"{prefix}weight_v": v.astype("float32")}
    port = save(torch_tensors(tensors), tmp_path / "pytorch_model.bin")
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y"]
    images = [
        converted(path, tmp_path / name)[0]["generator"](z, labels, truncation=0.5)
        for path, name in ((module, "a"), (port, "b"))
    ]
    np.testing.assert_allclose(*images, rtol=0, atol=1e-5)
    assert np.std(images[0]) > 0.1


def _authors_to_hub(tensors, blocks, dim=128):
    """Returns BigGAN-PyTorch's generator under the names and in the layout of a BigGAN module."""
    variables = {"linear/w/ema_b999900": tensors["shared.weight"]}

    def put(key, name, **arrays):
        for part, array in arrays.items():
            suffix = "" if part in ("u0", "u1") else "/ema_b999900"
            variables[f"Generator/{name}/{part}{suffix}"] = np.float32(array)

    def layer(key, name):
        weight = tensors[f"{key}.weight"] * 1e3
        put(key, name, w=np.transpose(weight, (2, 3, 1, 0) if weight.ndim == 4 else (1, 0)))
        put(key, name, u0=tensors[f"{key}.u0"], u1=0 * tensors[f"{key}.u0"])
        if f"{key}.bias" in tensors:
            put(key, name, b=tensors[f"{key}.bias"])

    def of(index, name):
        return f"{name}_{index}" if index else name

    channels = len(tensors["linear.bias"]) // 16

    def channel_minor(array):
        return np.moveaxis(array.reshape(channels, 16, -1), 0, 1).reshape(len(array), -1)

    put("", "G_Z/G_linear", w=channel_minor(tensors["linear.weight"] * 1e3).T)
    put("", "G_Z/G_linear", b=channel_minor(tensors["linear.bias"])[:, 0])
    put("", "G_Z/G_linear", u0=channel_minor(tensors["linear.u0"][0]).T)
    for i in range(blocks):
        scope, source = of(i, "GBlock"), f"blocks.{i}.0"
        for ours, theirs in (("conv1", "conv0"), ("conv2", "conv1"), ("conv_sc", "conv_sc")):
            layer(f"{source}.{ours}", f"{scope}/{theirs}")
        for k in (1, 2):
            for ours, theirs in (("gain", "gamma"), ("bias", "beta")):
                key, name = f"{source}.bn{k}.{ours}", f"{scope}/{of(k - 1, 'HyperBN')}/{theirs}"
                weight = tensors[f"{key}.weight"] * 1e3
                put(key, name, w=np.concatenate([weight[:, dim:], weight[:, :dim]], 1).T)
                put(key, name, u0=tensors[f"{key}.u0"])
            name = f"Generator/{scope}/{of(k - 1, 'CrossReplicaBN')}"
            variables[f"{name}/accumulated_mean"] = tensors[f"{source}.bn{k}.stored_mean"]
            variables[f"{name}/accumulated_var"] = tensors[f"{source}.bn{k}.stored_var"]
            variables[f"{name}/accumulation_counter"] = np.float32(200)
        if f"blocks.{i}.1.gamma" in tensors:
            for ours, theirs in (("theta", "theta"), ("phi", "phi"), ("g", "g"), ("o", "o_conv")):
                layer(f"blocks.{i}.1.{ours}", f"attention/{theirs}")
            variables["Generator/attention/gamma/ema_b999900"] = tensors[
                f"blocks.{i}.1.gamma"
            ].reshape(1)
    for ours, theirs in (("gain", "gamma"), ("bias", "beta")):
        array = tensors[f"output_layer.0.{ours}"].reshape(1, 1, 1, -1)
        variables[f"Generator/ScaledCrossReplicaBN/{theirs}/ema_b999900"] = array
    for ours, theirs in (("mean", "mean"), ("var", "var")):
        name = f"Generator/ScaledCrossReplicaBNbn/accumulated_{theirs}"
        variables[name] = tensors[f"output_layer.0.stored_{ours}"]
    layer("output_layer.2", "conv_2d")
    return variables


def test_a_module_gives_the_images_of_biggan_pytorch(tmp_path):
    """BigGAN-PyTorch's own converter maps the same weights this way."""
    fixture = golden("aj_i128")
    variables = _authors_to_hub(fixture.weights("G"), blocks=5)
    networks, provenance = converted(
        write_module(tmp_path / "module", variables),
        tmp_path / "model",
        bn_epsilon=1e-5,
    )
    generator = networks["generator"]
    assert (generator.latent_dim, generator.latent_injection) == (120, "split")
    fixture.assert_close(generator(fixture.arrays["in/z"], fixture.arrays["in/y_fake"]), "G_eval")
    assert "their counters (200" in " ".join(provenance["changes"]["generator"])
    kernel = variables_by_path(generator)["block_2/conv_1/kernel"].numpy()
    raw = variables["Generator/GBlock_2/conv0/w/ema_b999900"]
    sigma = hub_sigma(raw, variables["Generator/GBlock_2/conv0/u0"])
    np.testing.assert_allclose(kernel, raw / sigma, rtol=1e-5)


def _without_last_stack(graph):
    fewer = type(graph)()
    fewer.CopyFrom(graph)
    last = max(
        (node for node in fewer.node if node.name.startswith("stack_") and node.op == "Pack"),
        key=lambda node: int(node.name.removeprefix("stack_")),
    )
    fewer.node.remove(last)
    return fewer


def _that_reads_a_file(tables):
    def from_a_file(row):
        return tf.io.decode_raw(tf.io.read_file("/etc/hostname"), tf.float32)[: len(row)]

    return statistics_graph([table[:1] for table in tables], from_a_file)


def test_damaged_modules_are_refused(graph, tmp_path):
    fixture = golden("hf_tiny128")
    variables = _deep_variables(fixture, 1.0)
    tables = [fixture.weights("")[key] for _, key in key_lists()["hf_stacks_128"]]

    def refused(name, message, variables=variables, graph=graph):
        module = write_module(tmp_path / name, variables, graph)
        with pytest.raises(ValueError, match=message):
            converted(module, tmp_path / f"{name} model")
        assert not (tmp_path / f"{name} model").exists()
        return module

    fewer = _without_last_stack(graph)
    refused("few", "need 82 tables of statistics; .* Received: stacks=81", graph=fewer)
    reads = _that_reads_a_file(tables)
    refused("reads", "other values than constants.*depends_on=.*(DecodeRaw|ReadFile)", graph=reads)
    scope = "Generator/GBlock_3/conv1/w"
    missing = {name: value for name, value in variables.items() if not name.startswith(scope)}
    module = refused("missing", r"missing: generator\.layers\.3\.conv_1\.weight_orig", missing)
    data = next((module / "variables").glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ValueError, match="Cannot read the variables"):
        dict(read_variables(str(module)))
    (module / "saved_model.pb").write_bytes(b"\x0a\xff")
    with pytest.raises(ValueError, match="Cannot read the graph"):
        Graph(str(module))


def test_one_stored_value_does_not_stand_for_gigabytes(tmp_path):
    """Sizes of constants are checked before they are computed."""
    for shape, dtype, inputs in (((10**12,), 1, 1), ((1000,), 7, 1), ((1 << 20,), 1, 5000)):
        graph = graph_pb2.GraphDef()
        constant = graph.node.add(name="a", op="Const")
        value = constant.attr["value"].tensor
        constant.attr["dtype"].type = value.dtype = dtype
        value.tensor_shape.dim.add(size=shape[0])
        if dtype == 7:
            value.string_val.append(b"x" * 1_000_000)
        else:
            value.float_val.append(1)
        pack = graph.node.add(name="stack_1", op="Pack", input=["a"] * inputs)
        pack.attr["N"].i, pack.attr["T"].type = inputs, dtype
        model = saved_model_pb2.SavedModel()
        model.meta_graphs.add().graph_def.CopyFrom(graph)
        (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match=r"(need more than \d+ bytes|is not an array)"):
            Graph(str(tmp_path)).constants(["stack_1"])

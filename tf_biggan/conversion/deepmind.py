"""Tables for DeepMind's generators: pytorch-pretrained-BigGAN and the TF-Hub modules.

pytorch-pretrained-BigGAN holds DeepMind's BigGAN-deep generators. They have tables of batch-norm
statistics with 51 rows, one for each truncation. In eval mode, the spectral norm uses fixed vectors
u and v, with sigma = u W v. The conversion divides the kernels by sigma, so the converted generator
has `spectral_norm=False`. The last convolution has as many output channels as input channels, but
only the first three outputs are used. Its sigma depends on all channels, so its kernel is divided
by sigma before the other channels are removed.

The variables of the TF-Hub modules are renamed to the keys of pytorch-pretrained-BigGAN, so that
the same tables apply. pytorch-pretrained-BigGAN is a port of the BigGAN-deep modules, layer by
layer. The BigGAN modules have the same layout: they concatenate [z, y] (latent vector and class
embedding) and store the first feature map with channels last. Kernels are transposed to PyTorch's
order of axes. Each vector u0 is replaced by the vectors u and v after one step of power iteration.
The step scales a vector x by rsqrt(sum x^2 + 1e-4), as in the modules.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.readers.tensorflow import Graph
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import Row, Rule, SourceLayout, Tables, Tensor, expand, load
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

# The initial weights are overwritten at once, so the fastest initialiser is used.
SETTINGS = MappingProxyType(
    dict(spectral_norm=False, bn_epsilon=1e-4, num_statistics=51, initializer="n02")
)

_WEIGHT = (".weight_orig", ".weight_u", ".weight_v")
_BIAS = Tensor((".bias",), "/bias", "same")

KINDS = {
    "embedding": (Tensor((".weight",), "/kernel", "transpose"),),
    "first": (Tensor(_WEIGHT, "/kernel", "folded_first"), _BIAS),
    "conv": (Tensor(_WEIGHT, "/kernel", "folded_conv"), _BIAS),
    "rgb": (
        Tensor(_WEIGHT, "/kernel", "folded_rgb"),
        Tensor((".bias",), "/bias", "rgb"),
    ),
    "modulation": (Tensor(_WEIGHT, "/kernel", "folded_modulation"),),
    "statistics": (
        Tensor((".running_means",), "/moving_mean", "row"),
        Tensor((".running_vars",), "/moving_variance", "row"),
    ),
    "affine": (
        Tensor((".weight",), "/gain", "same"),
        Tensor((".bias",), "/offset", "same"),
    ),
    "scalar": (Tensor(("",), "", "scalar"),),
}

GENERATOR = (
    Row("embeddings", "class_embedding", "embedding"),
    Row("generator.gen_z", "first", "first"),
    Row("generator.bn", "output_norm", "affine"),
    Row("generator.bn", "output_norm", "statistics"),
    Row("generator.conv_to_rgb", "to_image", "rgb"),
)
BLOCK = (
    *(Row(f"conv_{k}", f"conv_{k + 1}", "conv") for k in range(4)),
    *(Row(f"bn_{k}.scale", f"norm_{k + 1}/gain", "modulation") for k in range(4)),
    *(Row(f"bn_{k}.offset", f"norm_{k + 1}/offset", "modulation") for k in range(4)),
    *(Row(f"bn_{k}", f"norm_{k + 1}", "statistics") for k in range(4)),
    # Only DeepMind's BigGAN has this layer. `with_port_names` renames its variables to these keys.
    Row("conv_sc", "shortcut", "conv"),
)
ATTENTION = (
    *(Row(f"snconv1x1_{name}", name, "conv") for name in ("theta", "phi", "g")),
    Row("snconv1x1_o_conv", "o", "conv"),
    Row("gamma", "gamma", "scalar"),
)
TABLES = Tables(KINDS, GENERATOR, (), BLOCK, ATTENTION, r"^(generator\.layers\.\d+)\.")
NORM_EPSILON = 1e-4
EMA = re.compile(r"/ema_[\w.]+$")
_HUB_KERNEL, _HUB_BIAS, _HUB_U = "w", "b", "u0"
_LAYER = rf"(?P<part>{_HUB_KERNEL}|{_HUB_BIAS}|{_HUB_U})$"
_INDEX = r"(?:_(?P<index>\d+))?"
_K = r"(?:_(?P<k>\d+))?"
_HUB_BLOCK = rf"^Generator/GBlock{_INDEX}/"
_PARTS = {"gamma": "scale", "beta": "offset", "scale": "scale", "offset": "offset"}

# Pairs: the pattern of a variable's name, and the key of the variable's layer in the port
# (pytorch-pretrained-BigGAN). {layer} and {attention} are replaced by the prefix of the block or of
# the attention layer.
LAYERS = (
    (rf"^Generator/(?:GenZ|G_Z)/G_linear/{_LAYER}", "generator.gen_z"),
    (rf"{_HUB_BLOCK}conv(?P<k>\d|_sc)/{_LAYER}", "{layer}.conv_{k}"),
    (
        rf"{_HUB_BLOCK}(?:BatchNorm|HyperBN){_K}/(?P<name>scale|offset|gamma|beta)/{_LAYER}",
        "{layer}.bn_{k}.{name}",
    ),
    (
        rf"^Generator/attention/(?P<name>theta|phi|g|o_conv)/{_LAYER}",
        "{attention}.snconv1x1_{name}",
    ),
    (rf"^Generator/(?:conv_to_rgb|conv_2d)/{_LAYER}", "generator.conv_to_rgb"),
)
# Pairs: the pattern of a variable's name, and the variable's complete key in the port.
SINGLE = (
    (r"^Generator/attention/gamma$", "{attention}.gamma"),
    (r"^Generator/(?:ScaledCrossReplicaBN|BatchNorm)/(?:gamma|scale)$", "generator.bn.weight"),
    (r"^Generator/(?:ScaledCrossReplicaBN|BatchNorm)/(?:beta|offset)$", "generator.bn.bias"),
)
STATISTICS = (
    (rf"{_HUB_BLOCK}CrossReplicaBN{_K}/accumulated_(?P<moment>mean|var)$", "{layer}.bn_{k}"),
    (r"^Generator/ScaledCrossReplicaBNbn/accumulated_(?P<moment>mean|var)$", "generator.bn"),
)
IGNORED = {
    r"/u[1-9]$": "singular vectors after the first, which no output depends on",
    r"/accumulation_counter$": "number of batches over which the statistics were accumulated",
    r"^global_step$": "a counter of training steps",
}
_STACK = re.compile(r"^(?:.*/)?stack_(\d+)$")
MOMENTS = ("running_means", "running_vars")
# A BigGAN-deep module has ten numbered stack operations for every two batch norms. The operations
# whose numbers end in these digits hold the mean and the variance of each of the two batch norms.
_STACKS_OF_NORMS = (1, 3, 6, 8)


def generator(architecture, num_classes: int, **overrides) -> Generator:
    """Returns a generator with the settings of the published models, ready for `load_generator`.

    Args:
      architecture: "biggan_deep128", "biggan_deep256", "biggan_deep512" or an `Architecture`.
      num_classes: Number of classes, 1000 for the published models.
      **overrides: Arguments of `Generator` that replace these settings.
    """
    return Generator(architecture, num_classes, **{**SETTINGS, **overrides})


def generator_rules(generator) -> list[Rule]:
    """Returns the rules that convert `pytorch_model.bin` to a generator's variables.

    Args:
      generator: Generator to fill, without spectral norm.

    Raises:
      ValueError: The generator has spectral norm.
    """
    checks.require(
        not generator.factory.spectral_norm,
        "weights that are already divided by sigma need a generator with `spectral_norm` False",
        spectral_norm=generator.factory.spectral_norm,
    )
    rows, place = list(GENERATOR), 0
    for index, spec in enumerate(generator.block_specs):
        rows += [row.under(f"generator.layers.{place}", f"block_{index}") for row in BLOCK]
        place += 1
        if spec.attention:
            prefix = f"generator.layers.{place}"
            rows += [row.under(prefix, f"attention_{index}") for row in ATTENTION]
            place += 1
    layout = SourceLayout.of_generator(generator, embedding_first=False, channels_first=False)
    return expand(rows, KINDS, layout.transforms(), variables_by_path(generator))


def load_generator(generator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the tensors of `pytorch_model.bin` to a generator.

    Raises:
      ConversionError: The tensors do not fit the generator. It is then unchanged.
    """
    load(generator, generator_rules(generator), tensors)


def averages(variables: Tensors) -> tuple[Tensors, int]:
    """Replaces each variable by its moving average, if the module stores one.

    Returns:
      A tuple: the variables by name, without the endings "/ema_..." of moving averages, and the
      number of variables that were replaced.
    """
    entries, replaced = {}, 0
    for name, entry in variables.entries.items():
        if not EMA.search(name):
            entries.setdefault(name, entry)
    for name, entry in variables.entries.items():
        if EMA.search(name):
            replaced += EMA.sub("", name) in entries
            entries[EMA.sub("", name)] = entry
    return Tensors(entries), replaced


def with_port_names(variables: Tensors, attention_block: int | None = None) -> Tensors:
    """Converts a TF-Hub module's variables to the keys and layouts of pytorch-pretrained-BigGAN.

    Args:
      variables: Variables that `averages` returned.
      attention_block: Index, from 0, of the block that the attention layer follows. If it is
        None, the block is found from the width of the attention layer.

    Raises:
      ValueError: Several blocks, or none, have the width of the attention layer.
    """
    after = _attention_block(variables) if attention_block is None else attention_block
    entries = {}
    for name, entry in variables.entries.items():
        if not any(re.search(pattern, name) for pattern in IGNORED):
            entries.update(_renamed(variables, name, entry, after))
    return Tensors(entries)


def _renamed(variables, name, entry, after) -> Mapping[str, StoredTensor]:
    if name == "linear/w":
        return {"embeddings.weight": _turned(entry)}
    for pattern, target in LAYERS:
        if match := re.match(pattern, name):
            key = _key(target, match, after)
            return _layer_part(match["part"], variables, name, key)
    for pattern, target in SINGLE:
        if match := re.match(pattern, name):
            return {_key(target, match, after): _flat(entry)}
    for pattern, target in STATISTICS:
        if match := re.match(pattern, name):
            moment = {"mean": "running_means", "var": "running_vars"}[match["moment"]]
            shape = (1, int(np.prod(entry.shape)))
            return {f"{_key(target, match, after)}.{moment}": _shaped(entry, shape)}
    return {name: entry}  # Unknown. The conversion will report the variable as left over.


def _layer_part(part, variables, name, key) -> Mapping[str, StoredTensor]:
    entry = variables.entries[name]
    if part == _HUB_KERNEL:
        return {f"{key}.weight_orig": _turned(entry)}
    return {f"{key}.bias": _flat(entry)} if part == _HUB_BIAS else _vectors(variables, name, key)


def _key(target: str, match: re.Match, after: int | None) -> str:
    groups = match.groupdict()
    index = int(groups.get("index") or 0)
    place = index + (after is not None and index > after)
    name = groups.get("name")
    return target.format(
        layer=f"generator.layers.{place}",
        attention=f"generator.layers.{(after or 0) + 1}",
        k=(groups.get("k") or "0").lstrip("_"),
        name=_PARTS.get(name, name),
    )


def _attention_block(variables: Tensors) -> int | None:
    shapes = variables.shapes
    if "Generator/attention/theta/w" not in shapes:
        return None
    width = shapes["Generator/attention/theta/w"][2]
    last = "conv3" if "Generator/GBlock/conv3/w" in shapes else "conv1"
    outputs = []
    while (name := f"{_scope(len(outputs))}/{last}/w") in shapes:
        outputs.append(shapes[name][3])
    # Attention follows the last block of a stage. BigGAN-deep has two blocks per stage.
    step = 2 if last == "conv3" else 1
    found = [i for i, out in enumerate(outputs) if out == width and (i + 1) % step == 0]
    checks.require(
        len(found) == 1,
        "the width of the attention layer does not show which block it follows; give the"
        " block's index, from 0, by --attention_block",
        width=width,
        blocks_of_that_width=found,
    )
    return found[0]


def _scope(index: int) -> str:
    return f"Generator/GBlock_{index}" if index else "Generator/GBlock"


def _derived(entry: StoredTensor, shape, change: Callable) -> StoredTensor:
    return StoredTensor(shape, entry.dtype, lambda: change(entry.read()))


def _turned(entry: StoredTensor) -> StoredTensor:
    """Transposes a kernel from TensorFlow's to PyTorch's order of axes.

    [height, width, in, out] becomes [out, in, height, width], and [in, out] becomes [out, in].
    """
    axes = (3, 2, 0, 1) if len(entry.shape) == 4 else (1, 0)
    shape = tuple(entry.shape[axis] for axis in axes)
    return _derived(entry, shape, lambda array: np.transpose(array, axes))


def _shaped(entry: StoredTensor, shape) -> StoredTensor:
    return _derived(entry, shape, lambda array: np.reshape(array, shape))


def _flat(entry: StoredTensor) -> StoredTensor:
    return _shaped(entry, (int(np.prod(entry.shape)),))


def _vectors(variables, name, key) -> Mapping[str, StoredTensor]:
    kernel = re.sub(rf"{_HUB_U}$", _HUB_KERNEL, name)
    if kernel not in variables:
        return {f"{key}.weight_u": _flat(variables.entries[name])}
    shape = variables.shapes[kernel]
    sizes = {"weight_u": shape[-1], "weight_v": int(np.prod(shape[:-1]))}
    return {
        f"{key}.{part}": StoredTensor(
            (size,), "float32", functools.partial(_step, variables, kernel, name, part)
        )
        for part, size in sizes.items()
    }


def _step(variables, kernel, u0, part):
    weight = variables[kernel]
    # The rows have the order of PyTorch's axes, so that the vectors fit the transposed kernel.
    axes = (2, 0, 1, 3) if weight.ndim == 4 else (0, 1)
    u, v = hub_step(np.transpose(weight, axes).reshape(-1, weight.shape[-1]), variables[u0])
    return {"weight_u": u, "weight_v": v}[part]


def hub_step(matrix: np.ndarray, u0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes one step of power iteration with the arithmetic of the TF-Hub modules.

    Args:
      matrix: Kernel [inputs, outputs].
      u0: Stored vector with `outputs` elements.

    Returns:
      Vectors u [outputs] and v [inputs]. Sigma is v @ matrix @ u.
    """
    v = _scaled(matrix @ np.ravel(u0))
    return _scaled(v @ matrix), v


def _scaled(x):
    return x / np.sqrt(np.sum(np.square(x)) + np.float32(NORM_EPSILON))


def accumulation_counts(variables: Tensors) -> str:
    """Returns, as text, the numbers of batches in a BigGAN module's accumulation counters."""
    counts = sorted(
        {float(np.ravel(variables[n])[0]) for n in variables if n.endswith("/accumulation_counter")}
    )
    if not counts:
        return "nothing"
    return f"{counts[0]:g}" if len(counts) == 1 else f"{counts[0]:g} to {counts[-1]:g}"


def statistics_of_truncations(graph: Graph, tensors: Tensors) -> Tensors:
    """Returns the tables of batch-norm statistics of a BigGAN-deep module.

    The module stores each table as a constant of its graph: a stack operation with one row for each
    truncation. The operations are numbered in the order of the layers.

    Args:
      graph: Graph of the module.
      tensors: Tensors that `with_port_names` returned.

    Returns:
      Tables [rows, channels] by their keys in pytorch-pretrained-BigGAN.

    Raises:
      ValueError: The graph has too few stack operations, or they are not constant.
    """
    norms = [key.removesuffix(".scale.weight_orig") for key in tensors]
    norms = [key for key in norms if re.fullmatch(r"generator\.layers\.\d+\.bn_\d", key)]
    norms.sort(key=lambda key: [int(number) for number in re.findall(r"\d+", key)])
    keys = [f"{norm}.{part}" for norm in (*norms, "generator.bn") for part in MOMENTS]
    numbers = {}
    for name in graph.node_names:
        match = _STACK.match(name)
        if match and int(match[1]) % 10 in _STACKS_OF_NORMS:
            numbers.setdefault(int(match[1]), name)
    names = [numbers[number] for number in sorted(numbers)]
    checks.require(
        len(names) >= len(keys),
        f"the TF-Hub module is incomplete: {len(norms) + 1} batch norms need {len(keys)}"
        " tables of statistics; download it again",
        stacks=len(names),
    )
    arrays = graph.constants(names[: len(keys)])
    entries = (StoredTensor.of(array) for array in arrays)
    return Tensors(dict(zip(keys, entries, strict=True)))

"""A script that loads an export with hub.load, without tf_biggan, and saves its outputs.

usage: stranger.py EXPORT INPUTS.npz OUTPUTS.npz
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

EPSILON = 1e-3
path, inputs, outputs = sys.argv[1:]
arrays = np.load(inputs)
z, y, weights = (tf.constant(arrays[n]) for n in ("z", "y", "weights"))
module = hub.load(path)
made = {f"t{i}": module(z, y, t) for i, t in enumerate(arrays["truncations"].tolist())}
made["keywords"] = module(z=z, y=y, truncation=np.float32(0.5))
made["positional"] = module(z, y, 0.5)
made["signature"] = module.signatures["default"](z=z, y=y, truncation=tf.constant(0.5))["default"]
made["each"] = module(z, y, arrays["each"])
made["alone"] = [module(z[i : i + 1], y[i : i + 1], t)[0] for i, t in enumerate(arrays["each"])]


def loss(z, y):
    return tf.reduce_sum(module(z, y, 0.5) * weights)


with tf.GradientTape() as tape:
    tape.watch([z, y])
    value = loss(z, y)
dz, dy, *of_variables = tape.gradient(value, [z, y, *module.trainable_variables])
# Along the gradient, the slope is the length of the gradient, which is large compared with
# rounding.
step = EPSILON * dz / tf.norm(dz)
made["dz"] = tf.norm(dz)
made["dz_numeric"] = (loss(z + step, y) - loss(z - step, y)) / (2 * EPSILON)
step = EPSILON * dy / tf.norm(dy)
made["dy"] = tf.norm(dy)
made["dy_numeric"] = (loss(z, y + step) - loss(z, y - step)) / (2 * EPSILON)
made["trained"] = np.array([g is not None for g in of_variables])
made["counts"] = np.array([len(module.variables), len(module.trainable_variables)])
assert not [name for name in sys.modules if name.split(".")[0] == "tf_biggan"]
np.savez(outputs, **{name: np.asarray(value) for name, value in made.items()})

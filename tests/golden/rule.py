"""Deterministic tensors from a manifest (numpy only).

A manifest is a JSON list of entries {"key", "shape", "kind", ...}; extra fields
are ignored, except "value" (kind const), "mul" (any kind: factor on the finished tensor) and
"of" (kinds sn_u, sn_v: the key of the weight they belong to).
Seed of a tensor = zlib.crc32((key + salt).encode()), generator = numpy.random.RandomState.
salt is "" for these fixtures.

    from rule import tensors, load_manifest
    weights = dict(tensors(load_manifest("x.manifest.json"), salt=""))
"""

import json
import zlib

import numpy as np


def _randn(key, shape, salt):
    rs = np.random.RandomState(zlib.crc32((key + salt).encode()))
    return rs.standard_normal(tuple(shape)).astype(np.float32)


def _fan_in(shape):
    return int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else 1


def _unit(x, eps=0.0):
    x = np.asarray(x, np.float64)
    return x / max(float(np.sqrt((x * x).sum())), eps, 1e-300)


def tensor(entry, salt="", lookup=None):
    """One tensor. lookup: {key: entry}, needed only by kinds sn_u and sn_v.
    An optional field "mul" multiplies the finished tensor (float32)."""
    a = _tensor(entry, salt, lookup)
    return a * np.float32(entry["mul"]) if "mul" in entry else a


def _tensor(entry, salt, lookup):
    key, shape, kind = entry["key"], tuple(entry["shape"]), entry["kind"]
    if kind in ("conv", "linear"):
        return _randn(key, shape, salt) * np.float32(1.0 / np.sqrt(_fan_in(shape)))
    if kind == "conv_he":
        return _randn(key, shape, salt) * np.float32(np.sqrt(2.0 / _fan_in(shape)))
    if kind in ("embedding", "bias"):
        return _randn(key, shape, salt) * np.float32(0.02)
    if kind == "gain":
        return np.float32(1.0) + np.float32(0.1) * _randn(key, shape, salt)
    if kind == "mean":
        return np.float32(0.1) * _randn(key, shape, salt)
    if kind == "var":
        return np.float32(1.0) + np.float32(0.1) * np.abs(_randn(key, shape, salt))
    if kind == "gamma":
        return np.full(shape, 0.5, np.float32)
    if kind == "ones":
        return np.ones(shape, np.float32)
    if kind == "zeros":
        return np.zeros(shape, np.float32)
    if kind == "zeros_int64":
        return np.zeros(shape, np.int64)
    if kind == "const":
        return np.full(shape, entry["value"], np.float32)
    if kind == "u":
        return _unit(_randn(key, shape, salt)).astype(np.float32)
    if kind in ("sn_u", "sn_v"):
        # u_raw: unit random; v = unit(W^T u_raw); u = unit(W v); all in float64, then float32
        wkey = entry["of"]
        base = wkey[: -len("weight_orig")]
        w = tensor(lookup[wkey], salt, lookup).astype(np.float64)
        w = w.reshape(w.shape[0], -1)
        u = _unit(_randn(base + "weight_u", (w.shape[0],), salt))
        v = _unit(w.T @ u)
        if kind == "sn_v":
            return v.astype(np.float32)
        return _unit(w @ v).astype(np.float32)
    raise ValueError("unknown kind %r for %r" % (kind, key))


def tensors(manifest, salt=""):
    """Yields (key, array) in manifest order."""
    lookup = {e["key"]: e for e in manifest}
    for e in manifest:
        yield e["key"], tensor(e, salt, lookup)


def load_manifest(path):
    with open(path) as f:
        m = json.load(f)
    return m["tensors"] if isinstance(m, dict) else m


def feature_sets(seed, n, d):
    """Metric inputs (a = generated, b = real): float64 arithmetic, cast to float32 at the end."""
    rs = np.random.RandomState(seed)
    m = rs.standard_normal((6, d)) / np.sqrt(6.0)
    l1, l2 = rs.standard_normal((n, 6)), 1.15 * rs.standard_normal((n, 6)) + 0.25
    a = np.maximum(0.3 + l1 @ m + 0.05 * rs.standard_normal((n, d)), 0)
    b = np.maximum(0.3 + l2 @ m + 0.05 * rs.standard_normal((n, d)), 0)
    return a.astype(np.float32), b.astype(np.float32)


def logits_set(seed, n=500, c=1008):
    """Inception Score input."""
    return (2.0 * np.random.RandomState(seed).standard_normal((n, c))).astype(np.float32)


if __name__ == "__main__":
    import sys

    salt = sys.argv[2] if len(sys.argv) > 2 else ""
    for k, a in tensors(load_manifest(sys.argv[1]), salt):
        print(k, a.shape, a.dtype, "mean %.6f std %.6f" % (a.mean(), a.std()))

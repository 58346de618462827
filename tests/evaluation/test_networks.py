"""Networks by the names that flags give them."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tf_biggan.devices import hardware
from tf_biggan.evaluation.features import named_extractor as networks


def test_other_networks_need_no_reference(tmp_path):
    with pytest.raises(ValueError, match="An extractor must be"):
        networks.named_network(f"{tmp_path}/x.keras", None, None, tf.distribute.get_strategy())


@pytest.mark.parametrize(
    "name, dtype", [("inception", "float32"), ("inception_bfloat16", "bfloat16")]
)
def test_inception_gets_its_precision(monkeypatch, capsys, name, dtype):
    monkeypatch.setattr(hardware, "cpu_info", lambda: {"flags": "avx2"})
    monkeypatch.setattr(networks, "inception_extractor", lambda *arguments: arguments)
    strategy = tf.distribute.get_strategy()
    found = networks.named_network(name, None, None, strategy, inception_weights="w", bias=True)
    assert found == ("w", True, dtype)
    warned = "Warning: the extractor inception_bfloat16 may be" in capsys.readouterr().err
    assert warned == (dtype == "bfloat16")

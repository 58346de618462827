"""Warnings about an unused GPU and about slow bfloat16, with simulated hardware."""

from __future__ import annotations

import pytest

from tf_biggan.devices import hardware

CPU_INFO = """processor\t: 0
model name\t: A Fine Processor
flags\t\t: fpu {flags}

processor\t: 1
model name\t: Another
"""


def test_the_first_processor_is_read(tmp_path):
    (tmp_path / "cpuinfo").write_text(CPU_INFO.format(flags="avx2"))
    info = hardware.cpu_info(str(tmp_path / "cpuinfo"))
    assert info["model name"] == "A Fine Processor" and info["flags"] == "fpu avx2"
    assert hardware.cpu_info(str(tmp_path / "missing")) == {}


@pytest.mark.parametrize(
    ("flags", "onednn", "reason"),
    [
        ("fpu avx2 avx512f", None, "no bfloat16 instructions"),
        ("fpu avx512f avx512_bf16", None, None),
        ("fpu amx_bf16", "1", None),
        ("fpu amx_bf16", "0", "TF_ENABLE_ONEDNN_OPTS=0 switches off"),
        ("", None, None),  # On other systems than Linux, nothing is known.
    ],
)
def test_slow_bfloat16(flags, onednn, reason, monkeypatch):
    monkeypatch.delenv(hardware.ONEDNN, raising=False)
    if onednn is not None:
        monkeypatch.setenv(hardware.ONEDNN, onednn)
    found = hardware.slow_bfloat16("--precision=mixed_bfloat16", {"flags": flags})
    assert len(found) == (reason is not None)
    for line in found:
        assert line.startswith("Warning: --precision=mixed_bfloat16 may be") and reason in line


@pytest.mark.parametrize(
    ("files", "command", "visible", "sign"),
    [
        (set(), False, None, None),
        ({"/dev/nvidia0"}, False, None, "/dev/nvidia0"),
        ({"/proc/driver/nvidia/version"}, True, "0,1", "/proc/driver/nvidia/version"),
        (set(), True, None, "nvidia-smi"),
        ({"/dev/nvidia0"}, True, "-1", None),  # The user hides the GPU.
        ({"/dev/nvidia0"}, True, "", None),
    ],
)
def test_a_gpu_that_is_not_used(files, command, visible, sign, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = hardware.unused_gpu(files.__contains__, lambda name: name if command else None)
    assert len(found) == (sign is not None)
    for line in found:
        assert f"finds no GPU although this machine seems to have one ({sign})" in line

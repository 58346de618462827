"""Warnings about the processor and the GPU of this machine, without importing TensorFlow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

CPU_INFO = "/proc/cpuinfo"
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
NVIDIA_SIGNS = ("/dev/nvidia0", "/proc/driver/nvidia/version")
NVIDIA_COMMAND = "nvidia-smi"
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def cpu_info(path: str = CPU_INFO) -> dict[str, str]:
    """Returns the fields of the first processor in /proc/cpuinfo, or {} on other systems."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            first = file.read().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in first.splitlines())
    return {name.strip(): value.strip() for name, value in pairs}


def slow_bfloat16(flag: str, info: dict[str, str] | None = None) -> tuple[str, ...]:
    """Returns a warning if bfloat16 is slow on this CPU, else ().

    Args:
      flag: The flag that asks for bfloat16, such as "--precision=mixed_bfloat16".
      info: Fields of the processor, as `cpu_info` returns them. Default: this machine's fields.
    """
    info = cpu_info() if info is None else info
    found = set(info.get("flags", "").split())
    if os.environ.get(ONEDNN, "").lower() in ("0", "false"):
        reason = f"{ONEDNN}={os.environ[ONEDNN]} switches off the library that multiplies bfloat16"
    elif found and not found & BFLOAT16_FLAGS:
        reason = "this CPU has no bfloat16 instructions (AVX512_BF16 or AMX)"
    else:
        return ()
    return (f"Warning: {flag} may be up to 30 times slower than float32, because {reason}.",)


def unused_gpu(
    exists: Callable[[str], bool] = os.path.exists,
    which: Callable[[str], str | None] = shutil.which,
) -> tuple[str, ...]:
    """Returns a warning if the machine seems to have an NVIDIA GPU, else ().

    Call this if TensorFlow finds no GPU. There is no warning if CUDA_VISIBLE_DEVICES hides the GPU.

    Args:
      exists: Function that returns whether a file exists.
      which: Function that returns the path of a command, or None.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ()
    signs = [sign for sign in NVIDIA_SIGNS if exists(sign)]
    signs += [NVIDIA_COMMAND] if which(NVIDIA_COMMAND) else []
    if not signs:
        return ()
    return (
        f"Warning: TensorFlow finds no GPU although this machine seems to have one ({signs[0]})."
        " The CPU is used. Run nvidia-smi to check the driver, and install CUDA's libraries with"
        " pip install 'tensorflow[and-cuda]'.",
    )

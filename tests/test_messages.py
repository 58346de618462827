"""Messages, help texts and docstrings of the package name only flags that exist."""

from __future__ import annotations

import ast
import re

from tests.command_flags import flags_of_commands
from tests.documentation import ROOT

# Flags of BigGAN-PyTorch, TensorBoard, TensorFlow Serving, tfds and absl, and words for any flag.
FLAGS_OF_OTHERS = {"BN_eps", "G_ortho", "G_param", "cross_replica", "mybn", "norm_style"} | {
    "logdir",
    "enable_per_model_batching_parameters",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "file_format",
    "helpfull",
    "helpshort",
    "flag",
    "name",
}
FLAG = re.compile(r"(?<![\w-])--(\w+)")


def test_every_flag_in_a_text_exists():
    flags = set().union(*flags_of_commands().values(), FLAGS_OF_OTHERS, {"flagfile", "help"})
    flags |= {f"no{name}" for name in flags}
    unknown = {}
    for path in sorted((ROOT / "tf_biggan").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        named = {name for text in texts if isinstance(text, str) for name in FLAG.findall(text)}
        unknown[path.name] = named - flags
    assert not {name: found for name, found in unknown.items() if found}

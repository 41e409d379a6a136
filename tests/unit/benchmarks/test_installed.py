"""What a benchmark installs for a library is what that requires, and nothing else."""

import subprocess
import sys

from benchmarks.parts.installed import install, with_requirements


def names_of(*names):
    return {item.metadata["Name"].lower().replace("_", "-") for item in with_requirements(names)}


def test_requirements_come_along_and_those_of_extras_do_not():
    found = names_of("aiobotocore")

    assert {"aiobotocore", "botocore", "aiohttp", "yarl"} <= found
    assert "boto3" not in found


def test_a_library_finds_what_it_requires_and_not_what_happens_to_be_there_too(tmp_path):
    program = (
        f"import site, sys; sys.path.append({str(install(tmp_path, ['opentelemetry-api']))!r})\n"
        "import opentelemetry.trace, warmkit, importlib.util as util\n"
        "print(util.find_spec('opentelemetry.sdk'), util.find_spec('aiohttp'))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["None", "None"]

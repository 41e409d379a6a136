"""`warmkit doctor`, as it is typed: its text, its JSON, its exit status, and what it leaves behind."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from warmkit.local.doctor.rules import RULES

ROOT = Path(__file__).parents[4]
RUN = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "doctor"]
FILES = """
files = []

def handler(event, context):
    files.append(event["name"])
    return files
"""


BROKEN = """\
broken cannot be imported.
  File "{here}/broken.py", line 2, in <module>
    one()
  File "{here}/broken.py", line 1, in one
    def one(): raise KeyError('a')
KeyError: 'a'
"""


@pytest.fixture
def environment():
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}


@pytest.fixture
def doctor(project, environment):
    """Runs the command to its end."""

    def run(*arguments, text=None):
        return subprocess.run(
            [*RUN, *arguments],
            cwd=project,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def begin(project, environment):
    """Starts the command."""

    def start(*arguments):
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*RUN, *arguments], cwd=project, env=environment, **output)

    return start


def test_the_bug_of_the_growing_list_is_told_in_words(doctor, write):
    write(FILES)
    done = doctor("app.handler", "--event", '{"name": "a.txt"}')
    assert done.stdout == (
        "WK201 error  app.py:2  app.files (list) grows with each call: 1, 2, 3 items\n"
        "  on Lambda: the environment serves many calls: each one sees what the ones before it left, other people's data\n"
        "             among it, and memory grows until the environment is killed\n"
        "  write:     make it inside the handler; or bound it (functools.lru_cache(maxsize=...), deque(maxlen=...))\n"
        "\n"
        "app.handler: 1 error, called 3 times\n"
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_without_an_event_it_is_not_called_and_nothing_is_found(doctor, write):
    write(FILES)
    done = doctor("app.handler")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "app.handler: nothing found, not called\n",
        "",
    )


def test_a_note_is_told_and_is_no_reason_for_a_status(doctor, write):
    write("import boto3\nS3 = boto3.client('s3')\n")
    done = doctor("app.handler", "--slow-import", "100000")
    assert re.sub(r"(?m)^imports: .*\n", "", done.stdout) == (
        "WK103 note  app.py:2  app.S3 holds a botocore.S3\n"
        "  on Lambda: as AWS advises; it tries again by itself after a dead socket, at the cost of that attempt; making it\n"
        "             takes a part of every cold start, used or not, and nothing closes it\n"
        "  write:     aws_client('service') or s3_client() from warmkit.resources\n"
        "\n"
        "app.handler: 1 note, not called\n"
    )
    assert done.returncode == 0


def test_json_has_every_field(doctor, write):
    write("import requests\nSESSION = requests.Session()\n")
    done = doctor("app.handler", "--json", "--slow-import", "100000")
    told = json.loads(done.stdout)
    (rule,) = [rule for rule in RULES if rule.code == "WK103"]
    (finding,) = told["findings"]
    assert finding.pop("write").startswith("@resource on a generator")
    assert finding == {
        "code": "WK103",
        "severity": "warning",
        "file": "app.py",
        "line": 2,
        "what": "app.SESSION holds a requests.Session",
        "happens": rule.happens,
    }
    assert told["handler"] == "app.handler"
    assert told["calls"] == 0
    assert "requests" in {cost["module"] for cost in told["imports"]}
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("event", "text"),
    [('{"name": 1}', None), ("event.json", None), ("-", '{"name": 1}')],
    ids=["text", "file", "input"],
)
def test_an_event_comes_as_text_as_a_file_or_by_standard_input(doctor, write, project, event, text):
    write(FILES)
    (project / "event.json").write_text('{"name": 1}')
    done = doctor("app.handler", "--event", event, "--times", "4", "--json", text=text)
    told = json.loads(done.stdout)
    assert (told["calls"], told["findings"][0]["code"]) == (4, "WK201")


def test_an_import_that_never_ends_is_a_finding(doctor, write):
    write("while True:\n    pass\n")
    done = doctor("app.handler", "--init-limit", "1")
    assert done.stdout.startswith("WK306 error  app.py:")
    assert done.returncode == 1


def test_what_was_found_before_a_call_that_never_ends_is_told(doctor, write):
    write(
        "import asyncio\nLOCK = asyncio.Lock()\n"
        "def handler(event, context):\n    while event: pass\n"
    )
    done = doctor("app.handler", "--event", "[1]", "--timeout", "1")
    assert re.findall(r"^WK\d+", done.stdout, re.MULTILINE) == ["WK204", "WK101"]
    assert done.stdout.endswith("app.handler: 1 error, 1 warning, called 1 time\n")


def test_a_call_that_ends_the_process_is_a_finding(doctor, write):
    write("import os\ndef handler(event, context): os._exit(0)\n")
    done = doctor("app.handler", "--event", "1")
    assert done.stdout.startswith("WK203 error  a call ended the process\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("app", "'app' must be module.function, such as app.handler"),
        ("app..handler", "'app..handler' must be module.function, such as app.handler"),
        ("ap.handler", "There is no module 'ap' in {here}. Did you mean 'app'?"),
        ("app.handlr", "app has no 'handlr'. Did you mean 'handler'?"),
        ("app.files", "app.files is a list, not a function."),
        ("exits.handler", "exits exits with status 3 while it is imported.\n  File "),
        ("dies.handler", "The process ends while dies.handler is imported."),
        (
            "broken.handler",
            BROKEN,
        ),
        ("needing.handler", "needing cannot be imported.\n"),
    ],
)
def test_what_cannot_be_examined_is_said_once_in_short(doctor, write, project, name, said):
    write(FILES)
    write("import sys\nsys.exit(3)\n", name="exits")
    write("import os\nos._exit(3)\n", name="dies")
    write("def one(): raise KeyError('a')\none()\n", name="broken")
    write("import nothing_of_this_name\n", name="needing")
    done = doctor(name)
    assert done.stderr.startswith(said.format(here=project))
    assert len(done.stderr.splitlines()) <= 7
    assert (done.returncode, done.stdout) == (2, "")


def test_an_event_that_is_no_json_is_refused(doctor, write):
    write(FILES)
    done = doctor("app.handler", "--event", "{name: 1}")
    assert "Invalid value for '--event': neither JSON nor a file that holds it" in done.stderr
    assert done.returncode == 2


def test_nothing_is_started_as_in_the_init_phase(doctor, write, environment):
    environment["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:9"
    write(
        "from warmkit import resource, warm_handler\n"
        "@resource(start='eager')\n"
        "def started(): open('started', 'w').close()\n"
        "@warm_handler(started=started)\n"
        "def handler(event, started): ...\n"
    )
    done = doctor("app.handler")
    assert done.stdout.startswith("app.handler: nothing found") or "\napp.handler: nothing" in (
        done.stdout
    )


@pytest.mark.parametrize("body", ["return 1", "raise KeyError", "yield 'chunk'"])
def test_what_the_calls_started_is_closed_once(doctor, write, project, body):
    write(
        "from pathlib import Path\n"
        "from warmkit import resource, warm_handler\n"
        "@resource\n"
        "async def kept():\n"
        "    yield 1\n"
        "    Path('closed').open('a').write('once ')\n"
        "@warm_handler(kept=kept)\n"
        f"async def handler(event, kept): {body}\n"
    )
    doctor("app.handler", "--event", "1")
    assert (project / "closed").read_text() == "once "


def test_a_pool_as_large_as_its_environment_is_right(doctor, write, environment):
    write("from warmkit.resources import postgres_pool\ndb = postgres_pool(max_size=10)\n")
    assert doctor("app.handler").returncode == 1
    assert doctor("app.handler", "--concurrency", "10").returncode == 0
    environment["AWS_LAMBDA_MAX_CONCURRENCY"] = "10"
    assert doctor("app.handler").returncode == 0


@pytest.fixture
def pipe(project):
    """A named pipe that reads to its end when the last process that holds it has ended."""
    path = project / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        yield file


def ended(pipe):
    """Whether the last process that holds the pipe ends soon."""
    readable, _, _ = select.select([pipe], [], [], PATIENCE_S)
    return bool(readable) and pipe.read() == b""


PATIENCE_S = 15.0
STARTS_A_PROCESS = """
import subprocess
with open("pipe", "wb") as pipe:
    subprocess.Popen(["sleep", "1000"], stdout=pipe, start_new_session=True)
"""


def test_a_process_that_the_import_started_is_gone(doctor, write, pipe):
    write(STARTS_A_PROCESS)
    done = doctor("app.handler")
    assert "WK303 warning  app.py:4  the import runs sleep\n" in done.stdout
    assert ended(pipe)


def test_no_files_are_left(doctor, write, project, environment):
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    write("import other\n")
    write("X = 1\n", name="other")
    doctor("app.handler", "--event", "1")
    assert sorted(path.name for path in project.iterdir()) == ["app.py", "other.py"]


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM)],
)
def test_whatever_ends_the_command_ends_what_it_examines(begin, write, pipe, number, status):
    write("pipe = open('pipe', 'wb', buffering=0)\npipe.write(b'.')\nwhile True: pass\n")
    with begin("app.handler", "--init-limit", "600") as child:
        assert _first_byte(pipe) == b"."
        child.send_signal(number)
        child.communicate()
    assert ended(pipe)
    assert child.returncode == status


def _first_byte(pipe):
    """Returns the first byte that is written; before a writer has opened the pipe it seems to have ended."""
    while not (byte := pipe.read(1)):
        os.sched_yield()
    return byte

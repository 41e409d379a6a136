"""SIGTERM in all sorts of situations, under AWS's runtime in both modes and under warmkit's, with real processes."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.parts.ends.cells import RUNTIMES
from benchmarks.parts.ends.platform import Platform
from warmkit.hosts.ending import HURRY

FUNCTIONS = Path(__file__).parent / "functions"
AT_ONCE = "0.05"
"""Seconds of a window that nobody uses. Those that matter are long, so that it is the order that is tested."""

IN_C, IN_PYTHON, OURS, OURS_TOGETHER = RUNTIMES.values()
NAMES = {id(IN_C): "3.11", id(IN_PYTHON): "3.12+", id(OURS): "ours", id(OURS_TOGETHER): "together"}


def under(*runtimes):
    """Runs a test under these: each is enough where the others' way is the same."""
    return pytest.mark.parametrize("runtime", runtimes, ids=[NAMES[id(item)] for item in runtimes])


@pytest.fixture
def told():
    """Starts an environment with one of the handlers."""
    with ExitStack() as stack:

        def start(runtime, handler, *, refuses="", external=False, **env):
            platform = Platform(
                runtime.module,
                handler if "." in handler else f"told.{handler}",
                {"USERS_HANDLER": "", **runtime.env, **env},
                external=external,
                patience=1000,  # only a hang takes that long
                task_root=FUNCTIONS,
            )
            platform.refuses = refuses
            return stack.enter_context(platform)

        yield start


def waits(platform):
    platform.invoke("wait")
    platform.says("waits")
    return platform


def served(platform, event="go"):
    """Serves one invocation, and brings the runtime back to where it waits."""
    platform.invoke(event)
    ((kind, body),) = platform.answered()
    platform.is_idle()
    assert kind == "response", (body, platform.output)
    return body.decode()


def ended(platform, *said):
    """It ended in order, and these were its last words."""
    status = platform.end().status
    assert (status, platform.output[-len(said) :]) == (0, list(said))
    return True


@under(IN_C, IN_PYTHON, OURS, OURS_TOGETHER)
def test_a_plain_function_that_waits_is_interrupted_and_leaves_before_its_resources(told, runtime):
    if runtime is OURS_TOGETHER:  # a thread, which nobody can interrupt
        platform = waits(told(runtime, "plain_in_python", UNWIND=AT_ONCE))
        assert ended(platform, "waits", "closed")
    else:
        platform = waits(told(runtime, "plain_in_python"))
        assert ended(platform, "waits", "left", "closed")


@under(IN_C, OURS, OURS_TOGETHER)
def test_a_plain_function_that_waits_in_c_code_keeps_nothing_open(told, runtime):
    assert ended(waits(told(runtime, "plain_in_c_code", UNWIND=AT_ONCE)), "waits", "closed")


@under(IN_PYTHON, OURS)
def test_a_plain_function_that_swallows_its_end_keeps_nothing_open(told, runtime):
    platform = waits(told(runtime, "plain_that_goes_on", UNWIND=AT_ONCE))
    assert ended(platform, "waits", "went on after EndedError", "closed")


@under(IN_C, OURS_TOGETHER)
def test_a_coroutine_that_swallows_its_end_keeps_nothing_open(told, runtime):
    platform = waits(told(runtime, "that_goes_on", UNWIND=AT_ONCE))
    assert ended(platform, "waits", "went on after CancelledError", "closed")


@under(IN_C, OURS, OURS_TOGETHER)
def test_a_loop_that_turns_is_asked_and_not_interrupted(told, runtime):
    """An error that is raised in the middle of anything may hit a transport, and with it a connection."""
    platform = waits(told(runtime, "that_is_busy"))
    assert platform.end().status == 0
    story = [line for line in platform.output if line in {"waits", "left", "closed"}]
    assert story == ["waits", "left", "closed"]
    assert [line for line in platform.output if line.startswith("hit")] == []


@under(IN_PYTHON, OURS, OURS_TOGETHER)
def test_a_coroutine_that_holds_the_loop_is_interrupted(told, runtime):
    platform = waits(told(runtime, "that_holds_the_loop", HEARING=AT_ONCE))
    assert platform.end().status == 0
    assert "closed" in platform.output


@under(IN_C, OURS_TOGETHER)
def test_a_loop_that_is_held_in_c_code_is_given_up_in_time(told, runtime):
    """Nothing of it can be closed: but the process ends before it is killed, and says so."""
    short = {"HEARING": AT_ONCE, "UNWIND": AT_ONCE, "WINDOW": "0.25"}
    platform = waits(told(runtime, "that_holds_the_loop_in_c_code", **short))
    assert platform.end().status == 0
    assert platform.output[-1].endswith(
        "the time for an orderly end is over, and not everything was closed"
    )


@under(IN_C, IN_PYTHON, OURS, OURS_TOGETHER)
def test_what_ends_with_the_invocation_is_rolled_back_before_what_it_stands_on_is_closed(
    told, runtime
):
    platform = waits(told(runtime, "waiting"))
    assert platform.end().status == 0
    words = [word for word in platform.output if word in {"left", "rolled back", "closed"}]
    assert words == ["left", "rolled back", "closed"]


@under(IN_C, OURS)
def test_so_it_is_where_a_plain_function_was_interrupted(told, runtime):
    platform = waits(told(runtime, "plain_waiting"))
    assert ended(platform, "waits", "rolled back", "closed")


@under(IN_C, IN_PYTHON, OURS, OURS_TOGETHER)
def test_a_call_that_finishes_in_time_is_answered_and_a_second_signal_changes_nothing(
    told, runtime
):
    platform = told(runtime, "that_finishes", FINISH="60", POSTING="2")
    platform.invoke("go")
    assert platform.posted.get(timeout=60) == ("response", b'"%s"' % (b"finished" * 500_000))
    assert platform.exit().status == 0
    assert platform.output == ["closed"]


@under(IN_C, OURS, OURS_TOGETHER)
def test_what_arrives_while_everything_is_closed_is_not_begun(told, runtime):
    platform = told(runtime, "hanging_at_its_end")
    served(platform)
    platform.signal(signal.SIGTERM)
    platform.says("closing")
    platform.invoke("go")
    assert platform.exit().status == 0
    assert platform.output.count("serves") == 1


@under(IN_C, IN_PYTHON, OURS, OURS_TOGETHER)
def test_what_computes_gives_way_to_the_end(told, runtime):
    """A busy loop, or threads of a dozen plain functions, would have used up its time."""
    platform = told(runtime, "among_threads")
    assert served(platform) == "0.005"  # Python's own, as long as nobody is in a hurry
    assert ended(platform, f"closed in turns of {HURRY:g}")


# -- the init phase


@under(IN_C, OURS)
def test_an_import_that_waits_in_c_code_keeps_nothing_open(told, runtime):
    platform = told(runtime, "fine", TOLD_IN_INIT="in C code")
    platform.says("waits")
    assert ended(platform, "waits", "closed")


@under(IN_C, OURS_TOGETHER)
def test_a_start_in_the_init_phase_is_cut_short_and_the_import_goes_no_further(told, runtime):
    platform = told(runtime, "slow", TOLD_IN_INIT="starts")
    platform.says("waits")
    assert platform.end().status == 0
    assert platform.output[0] == "waits"
    assert sorted(platform.output[1:]) == ["closed", "its start is over"]


# -- other people's handlers

USERS = pytest.mark.parametrize(
    ("runtime", "where"),
    [
        (IN_C, "before"),
        (IN_PYTHON, "before"),
        (IN_C, "after"),
        (IN_PYTHON, "after"),
        (OURS, "after"),
    ],
    ids=["3.11-before", "3.12+-before", "3.11-after", "3.12+-after", "ours-after"],
)


def until_done(where):
    """Nobody knows when one that was set later is done: it has what is left of the window."""
    return {"WINDOW": "2"} if where == "after" else {}


@USERS
def test_a_handler_of_the_users_is_called_once_and_may_finish(told, runtime, where):
    """Set before ours it is called wherever the main thread is; set later, where Python itself calls it."""
    platform = told(runtime, "fine", USERS_HANDLER=where, **until_done(where))
    served(platform)
    assert platform.end().status == 0
    called = [] if where == "after" and runtime is IN_C else ["called", "done"]
    assert [line.rpartition(" ")[2] for line in platform.output if "user" in line] == called
    assert platform.output.count("closed") == 1


@USERS
def test_a_handler_of_the_users_may_exit(told, runtime, where):
    platform = told(runtime, "fine", USERS_HANDLER=where, EXITS="1", **until_done(where))
    served(platform)
    assert platform.end().status in {0, 3}
    assert platform.output.count("closed") == 1


@under(IN_C)
def test_a_handler_of_the_users_that_fails_in_another_thread_spoils_nothing(told, runtime):
    platform = told(runtime, "with_what_is_on_its_way", USERS_HANDLER="before", FAILS="1")
    served(platform)
    assert platform.end().status == 0
    assert platform.output[:2] == ["closed", "the user's handler is called"]
    assert "signal only works in main thread" in "".join(platform.output)
    assert platform.output[-1].endswith("kept until the end")  # AWS's runtime ends no line


@under(IN_C, OURS)
def test_a_loop_that_handles_signals_is_told_of_them_and_so_is_the_end(told, runtime):
    platform = told(runtime, "with_a_signal_handler")
    assert served(platform, "listen") == '"listens"'
    assert served(platform) == '"heard"'
    assert served(platform, "listen") == '"listens"'
    assert ended(platform, "closed")


# -- processes and loops of the user's


@under(IN_C, OURS_TOGETHER)
def test_a_forked_child_ends_by_itself_and_ends_nobody_else(told, runtime):
    platform = told(runtime, "with_a_child")
    assert served(platform, "terminate") == f'["0", {-signal.SIGTERM}]'
    assert served(platform, "terminate") == f'["0", {-signal.SIGTERM}]'
    assert ended(platform, "closed")


@under(IN_PYTHON, OURS)
def test_a_child_that_still_runs_closes_nothing(told, runtime):
    platform = told(runtime, "with_a_child")
    served(platform)
    assert ended(platform, "closed")


@under(IN_C, IN_PYTHON)
def test_an_environment_on_a_loop_of_the_users_is_closed_too(told, runtime):
    platform = told(runtime, "on_a_loop_of_its_own")
    served(platform)
    assert ended(platform, "closed")


@under(IN_C, OURS)
def test_log_records_are_brought_out_and_exit_handlers_are_not_called(told, runtime):
    platform = told(runtime, "with_what_is_on_its_way")
    served(platform)
    assert ended(platform, "closed", "kept until the end")


def test_each_process_of_awss_multi_concurrent_runtime_closes_its_own(told):
    """The parent has no handler and dies at once: the children get what is left."""
    aws = IN_PYTHON._replace(env={**IN_PYTHON.env, "AWS_LAMBDA_MAX_CONCURRENCY": "3"})
    platform = told(aws, "fine")
    platform.is_idle()
    platform.invoke("go", times=3)
    platform.answered(times=3)
    platform.signal(signal.SIGTERM)
    platform.says("closed")
    platform.reads_to_the_end()
    served_by = platform.output.count("closed")
    assert platform.output == ["closed"] * served_by
    assert 1 <= served_by <= 3


# -- the registration


@under(IN_C, OURS)
@pytest.mark.parametrize("refusal", ["Extension.RegistrationClosed", "Extension.TooManyExtensions"])
def test_a_refused_registration_is_told_once_and_fails_nothing(told, runtime, refusal):
    platform = told(runtime, "fine", refuses=refusal, external=True)
    served(platform)
    (line,) = [line for line in platform.output if "SIGTERM" in line]
    assert refusal in line
    assert ended(platform, "closed")  # for the external one's sake there is a signal


@under(IN_PYTHON)
def test_a_name_that_another_process_has_taken_is_nothing_to_speak_of(told, runtime):
    platform = told(runtime, "fine", refuses="Extension.InvalidExtensionState", external=True)
    served(platform)
    assert ended(platform, "closed")
    assert platform.output == ["closed"]


@under(IN_C)
def test_a_handler_that_is_declared_in_another_thread_serves_and_says_what_it_cannot(told, runtime):
    platform = told(runtime, "told_thread.handler")
    assert served(platform) == '"connection"'
    assert platform.registered == {}  # no slot is taken for nothing
    assert ["another thread" in line for line in platform.output] == [True]

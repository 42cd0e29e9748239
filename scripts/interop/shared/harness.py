"""Runs a client's features one after another and prints a line for each: the convention is in ../README.md.

A feature is a function whose name is the feature's, marked with `@feature`. It gets a session of the client (its own entity
names, removed afterwards) or, marked with `@feature(session=False)`, nothing.
"""

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import time
import traceback

HOST, PORT = os.environ["AMQP_HOST"], int(os.environ["AMQP_PORT"])
USER, PASSWORD = os.environ.get("AMQP_USER", "guest"), os.environ.get("AMQP_PASSWORD", "guest")
VHOST = os.environ.get("AMQP_VHOST", "/")
MESSAGES = int(os.environ.get("INTEROP_MESSAGES", "10000"))
IDLE_S = float(os.environ.get("INTEROP_IDLE_S", "5"))
PEER = os.environ.get("INTEROP_PEER", "this")
RESTART = os.environ.get("INTEROP_RESTART", "")

DEADLINE_S = 20
# Features that start processes, or wait for a thousand answers one after another.
DEADLINE_LONG_S = 40
LONG = ("restart", "channels_500", "celery_")
MIB = 1 << 20
BODY_BYTES_MAX = 16 * MIB

_features = {}
_notes = []


class Skip(Exception):
    """The library cannot express the feature."""


class Failed(AssertionError):
    """What must hold did not."""


class DeadlinePassed(BaseException):
    """Not an `Exception`: no library's handler swallows it."""


def feature(function=None, *, session=True):
    """Marks a function as the test of the feature with its name."""

    def register(function):
        _features[function.__name__] = (function, session)
        return function

    return register(function) if function else register


def expect(actual, expected, what):
    if actual != expected:
        raise Failed(f"{what}: expected {_short(expected)}, got {_short(actual)}")


def expect_true(condition, what):
    if not condition:
        raise Failed(what)


def _short(value):
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"


def by_peer(expected, why, **others):
    """The expectation for the peer under test: `expected`, or another peer's value (`rabbitmq3=…`), noted with its reason."""
    if PEER not in others:
        return expected
    if why not in _notes:
        _notes.append(why)
    return others[PEER]


def await_true(condition, what, seconds=8.0, step=0.02):
    """Asks until the condition holds, and returns what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise Failed(f"{what}: not within {seconds} s")


def restart_broker():
    if not RESTART:
        raise Skip("INTEROP_RESTART is not set")
    done = subprocess.run(["bash", "-c", RESTART], capture_output=True, text=True, timeout=DEADLINE_LONG_S)
    expect(done.returncode, 0, f"restart of the broker ({done.stderr.strip()[-200:]})")


def _deadline(_signal, _frame):
    raise DeadlinePassed


def _one(name, make_session):
    function, wants_session = _features[name]
    seconds = DEADLINE_LONG_S if name.startswith(LONG) else DEADLINE_S
    session = None
    if inspect.iscoroutinefunction(function):
        return asyncio.run(asyncio.wait_for(_one_async(name, function, wants_session and make_session), seconds))
    signal.signal(signal.SIGALRM, _deadline)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if not wants_session:
            return function()
        session = make_session(name)
        return function(session)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if session is not None:
            signal.setitimer(signal.ITIMER_REAL, 5)
            try:
                session.clean_up()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)


async def _one_async(name, function, make_session):
    if not make_session:
        return await function()
    session = make_session(name)
    try:
        await session.open()
        return await function(session)
    finally:
        await asyncio.wait_for(session.clean_up(), 5)


def _reason(error):
    if isinstance(error, (DeadlinePassed, asyncio.TimeoutError)) and not str(error):
        return "not done before its deadline" + _where(error)
    if isinstance(error, Failed):
        return str(error)
    return f"{type(error).__name__}: {error}{_where(error)}"


def _where(error):
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(here)]
    return f" (at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""


def run(make_session):
    """Runs the features named on the command line, or all; exits 1 when one failed."""
    names = sys.argv[1:] or [name for name in _features if name != "restart" or RESTART]
    failed = False
    for name in names:
        if name not in _features:
            print(f"skip {name}: not a feature of this program", flush=True)
            continue
        _notes.clear()
        start = time.monotonic()
        try:
            _one(name, make_session)
        except Skip as skip:
            print(f"skip {name}: {skip}", flush=True)
        except (Exception, DeadlinePassed) as error:
            failed = True
            print(f"FAIL {name}: {' '.join(_reason(error).split())}", flush=True)
            if os.environ.get("INTEROP_TRACE"):
                traceback.print_exc()
        else:
            seconds = time.monotonic() - start
            print(f"ok {name}" + (f": {seconds:.1f} s" if seconds >= 1 else ""), flush=True)
        for note in _notes:
            print(f"note {name}: {PEER}: {note}", flush=True)
    sys.exit(failed)

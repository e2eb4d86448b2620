"""Running an agent: settings, lock, signals, and the driver by its name.

    python -m underlace.agent [--once] CONFIG.json

Exit codes: 0 ended as asked; 1 with --once, the device is not in a confirmed state; 2 settings or driver are not
usable; 3 another agent uses the state directory, or it cannot be written.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol, TextIO, cast

from underlace.agent import service
from underlace.agent.apply import Applier
from underlace.agent.cache import Cache
from underlace.agent.client import HttpsController
from underlace.agent.clock import SystemClock
from underlace.agent.config import AgentConfig, load_config
from underlace.agent.drift import Drift
from underlace.agent.enrolment import Enrolment
from underlace.agent.identity import Identity
from underlace.agent.ledger import Ledger
from underlace.agent.listener import Listener
from underlace.agent.log import Log
from underlace.agent.loop import Agent
from underlace.agent.parts import Parts
from underlace.drivers.protocol import Door, Driver, Keeper, Prober
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import is_hostname

ENDED, UNSETTLED, UNUSABLE, OCCUPIED = 0, 1, 2, 3

LOCK_PATIENCE = 2.0
"""Seconds to wait for the state directory."""


def main(config: AgentConfig, driver: Driver, door: Door, *, once: bool = False, stream: TextIO | None = None) -> int:
    """Run one agent until SIGTERM or SIGINT; SIGHUP brings at once what waits. Returns the exit code.

    The same on a device and in the lab, where it is called in a forked child that has entered its namespaces.
    once: recover, carry out what the controller wants now, and return.
    """
    log = Log(config.device, stream)
    state = Path(config.state_dir)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(state / "lock")
    except OSError as error:
        log.event("state-directory-unusable", level="error", error=str(error), state_dir=config.state_dir)
        return OCCUPIED
    clock = SystemClock()
    try:
        agent, controller = build(config, driver, door, clock, log)
        with ExitStack() as beside:
            if not once:
                if isinstance(door, Keeper):
                    door.keep()
                if isinstance(door, Prober):
                    probes = Drift(door, driver, lambda: load_driver(config)[1], lambda: agent.holding.good)
                    beside.enter_context(answering(config, probes, log))
            with _signals(agent, controller, clock):
                code = _run(agent, once)
        controller.forget()
        return code
    except OSError as error:
        log.event("agent-failed", level="error", error=str(error), state_dir=config.state_dir)
        return OCCUPIED
    finally:
        clock.close()
        os.close(lock)


def build(
    config: AgentConfig, driver: Driver, door: Door, clock: SystemClock, log: Log
) -> tuple[Agent, HttpsController]:
    """An agent with all its parts, not started."""
    state = Path(config.state_dir)
    identity = Identity(state, config.device)
    controller = connect(config, identity)
    parts = Parts(
        config=config,
        driver=driver,
        applier=Applier(config.device, door, clock, log),
        cache=Cache(state, config.device),
        controller=controller,
        clock=clock,
        ledger=Ledger(config.device, driver.name, config.simulated),
        log=log,
        restart=partial(service.restart, config.restart_command) if config.restart_command else None,
    )
    return Agent(parts, Enrolment(config, identity, controller, clock, log)), controller


def connect(config: AgentConfig, identity: Identity) -> HttpsController:
    """A connection to the controllers, made when it is first used; for one thread."""
    authorities = (Path(config.ca), identity.ca)
    return HttpsController(
        config.controllers, authorities, identity.pem, config.management_netns, config.request_timeout
    )


@contextmanager
def answering(config: AgentConfig, probes: Prober, log: Log) -> Iterator[None]:
    """Live questions are answered meanwhile, on connections and in threads of their own."""
    identity = Identity(Path(config.state_dir), config.device)
    listener = Listener(connect(config, identity), connect(config, identity), probes, identity.pem, log, config.wait)
    listener.start()
    try:
        yield
    finally:
        listener.close()


def _run(agent: Agent, once: bool) -> int:
    if not once:
        agent.run()
        return ENDED
    agent.start()
    agent.turn(wait=0.0)
    return ENDED if agent.settled else UNSETTLED


def _lock(path: Path) -> int:
    """Hold the state directory: two agents on one device would undo each other's work. Raises OSError.

    A program that a killed agent had just started may hold its lock for a moment longer.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except OSError as held:
            if time.monotonic() > until:
                os.close(fd)
                raise OSError(held.errno, "another agent holds it", str(path)) from held
        time.sleep(0.05)


@contextmanager
def _signals(agent: Agent, controller: HttpsController, clock: SystemClock) -> Iterator[None]:
    """Signals that end waits; a step on the device is always finished first."""

    def stop(_number: int, _frame: object) -> None:
        agent.stop()
        controller.abort()
        clock.interrupt()

    def retry(_number: int, _frame: object) -> None:
        agent.urge()
        controller.abort()
        clock.interrupt()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: retry}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class DriverPackage(Protocol):
    """What a package under underlace.drivers offers to an agent."""

    def driver(self) -> Driver: ...

    def door(self, options: Mapping[str, str]) -> Door: ...


def load_driver(config: AgentConfig) -> tuple[Driver, Door]:
    """The driver that the settings name; no other driver is imported. Raises Refused."""
    name = config.driver
    try:
        if not is_hostname(name.replace("_", "-")) or "." in name:
            raise ModuleNotFoundError(f"{name!r} is not the name of a driver")
        package = cast(DriverPackage, import_module(f"underlace.drivers.{name}.device"))
        return package.driver(), package.door(config.driver_options)
    except (ImportError, TypeError, ValueError) as error:
        finding = Diagnostic(
            Where(device=config.device),
            "agent-driver-unusable",
            "The agent's driver cannot be used.",
            f"Driver {name!r} with options {config.driver_options}: {error}",
            "Set `driver` to a package under underlace.drivers, and only options that its door takes.",
        )
        raise Refused([finding]) from error


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command line of a device's agent."""
    words = [a for a in arguments if a != "--once"]
    if len(words) > 1 or any(a.startswith("-") for a in words):
        sys.stderr.write("usage: python -m underlace.agent [--once] CONFIG.json\n")
        return UNUSABLE
    try:
        config = load_config(Path(words[0]) if words else None, environ)
        driver, door = load_driver(config)
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return UNUSABLE
    return main(config, driver, door, once="--once" in arguments)

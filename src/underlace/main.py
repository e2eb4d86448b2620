"""The composition root: the only module that may import all of Underlace, and the console entry `underlace`.

    underlace agent …   what a device runs: the standard library and msgspec, nothing of a controller
    underlace up        the controller: store, CA, use cases, API, sockets
    underlace lab|demo  a fabric in network namespaces
    anything else       a client of a controller

Each imports what it needs when it runs: a device has no FastAPI, and `--help` should not wait for one.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from underlace.controller.directory import DataDirectory
    from underlace.drivers.protocol import Driver
    from underlace.model.diagnostic import Diagnostic
    from underlace.settings import Settings
    from underlace.store.store import Store

MISSING = """error: this command needs the controller's packages, and {name} is not installed
  remedy: pip install 'underlace[controller]'
"""
LAB_HELP = "A fabric in network namespaces: up, down, status, exec, test, fault."
DEMO_HELP = "Build the quickstart fabric on this machine, prove it with packets, and keep it up."
AGENT_HELP = "Run the agent of a device: underlace agent [--once] CONFIG.json"
AGENT_USAGE = """Usage: underlace agent [--once] [CONFIG.json]

  Run the agent of a device until SIGTERM. SIGHUP tries at once what was given up.

  CONFIG.json        Settings of the agent; the environment, UNDERLACE_AGENT_<FIELD>, overrides each.

Options:
  --once             Carry out what the controller wants now, and end.
  -h, --help         Show this message and exit.

Exit codes: 0 ended as asked; 1 with --once, the device is not in a confirmed state; 2 settings or driver are not
usable; 3 another agent uses the state directory, or it cannot be written.
"""
"""A device has nothing that could make this from the code."""


def run() -> None:
    """The console entry."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["agent"]:
        if {"-h", "--help"} & set(arguments):
            sys.stdout.write(AGENT_USAGE)
            sys.exit(0)
        from underlace.agent.main import run as run_agent

        sys.exit(run_agent(arguments[1:], os.environ))
    try:
        from underlace.cli.app import run_safely

        program = build(arguments)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "underlace":
            raise
        sys.exit(MISSING.format(name=missing.name))
    sys.exit(run_safely(lambda: program(prog_name="underlace")))


def build(arguments: Sequence[str]) -> typer.Typer:
    """The whole command line. The lab is imported when the arguments name it, or when completion asks for all."""
    import typer

    from underlace.cli import controller
    from underlace.cli.app import command_line

    app = command_line()
    controller.mount(app, serve, unpack, recover)
    app.command("agent", help=AGENT_HELP)(_elsewhere)
    wanted = next((a for a in arguments if not a.startswith("-")), "")
    if wanted in ("lab", "demo") or "_UNDERLACE_COMPLETE" in os.environ:
        from underlace.lab.cli import app as lab
        from underlace.lab.demo import demo

        app.add_typer(lab, name="lab", help=LAB_HELP)
        app.command("demo", help=DEMO_HELP)(demo)
    else:
        app.add_typer(typer.Typer(callback=_elsewhere, invoke_without_command=True), name="lab", help=LAB_HELP)
        app.command("demo", help=DEMO_HELP)(_elsewhere)
    return app


def _elsewhere() -> None:
    """Stands in the help for commands that `run` and `build` put in place when they are called."""
    raise AssertionError("this command is never called")


def serve(settings: Settings) -> None:
    """Run a controller until SIGTERM. Whatever can be refused is refused before a socket answers."""
    from underlace.api.log import configure
    from underlace.controller.collector import relax
    from underlace.controller.directory import DataDirectory
    from underlace.store.store import Store

    configure(settings.log_level)
    relax()
    with ExitStack() as stack:
        directory = DataDirectory.open(settings.data)
        stack.callback(directory.close)
        api, agents = _bind(settings)
        for bound in (*api, *agents):
            stack.callback(bound.close)
        store = Store.open(settings.database or directory.store)
        stack.callback(store.close)
        _serve(settings, directory, store, api, agents)


def _serve(
    settings: Settings, directory: DataDirectory, store: Store, api: list[socket.socket], agents: list[socket.socket]
) -> None:
    """The parts put together. A name in the certificate and the URL of the context follow from the bound sockets."""
    from structlog import get_logger

    from underlace.api import server, sockets
    from underlace.api.app import create_app
    from underlace.controller.archive import Archive
    from underlace.controller.authority import Authority
    from underlace.controller.controller import Controller
    from underlace.controller.directory import writable
    from underlace.controller.identity import Identity
    from underlace.store.identity import IdentityStore

    names = {*settings.server_names, *sockets.names((*api, *agents))}
    with writable(directory.path):
        authority = Authority(directory.authority, device_lifetime=timedelta(days=settings.device_certificate_days))
        authority.renew()
        authority.renew_server(names)
    identity = Identity(IdentityStore(store), authority, timedelta(hours=settings.enrolment_hours))
    if settings.database:
        identity.share()
    controller = Controller(
        store, drivers(), simulated=settings.simulated, silent_after=float(settings.silent_seconds)
    )
    first = identity.first_token()
    url = f"https://{sockets.reachable(api[0])}"
    trust = authority.ca_pem + (settings.certificate_ca.read_text() if settings.certificate_ca else "")
    with writable(directory.path):
        directory.write_context(url, trust, first.text if first else None)
    own = server.tls_context(authority.server_file, None, authority.ca_file)
    given = server.tls_context(settings.certificate, settings.private_key, None) if settings.certificate else own

    def renew() -> None:
        if authority.renew():
            own.load_verify_locations(authority.ca_file)
        if authority.renew_server(names):
            own.load_cert_chain(authority.server_file)

    def ready(_stop: server.Stop) -> None:
        get_logger().info("ready", url=url, context=str(directory.context), data=str(directory.path))

    app = create_app(controller, identity, Archive(controller.backup, directory), simulated=settings.simulated)
    server.serve(app, server.Listeners(api, agents, given, own), ready, renew)


def _bind(settings: Settings) -> tuple[list[socket.socket], list[socket.socket]]:
    """The API's sockets, and the agents' own."""
    from underlace.api import sockets

    with ExitStack() as undo:
        bound: list[list[socket.socket]] = []
        for addresses, netns in ((settings.listen, None), (settings.agent_listen, settings.agent_netns)):
            bound.append([])
            for address in addresses:
                bound[-1].append(sockets.listen(address, netns))
                undo.callback(bound[-1][-1].close)
        undo.pop_all()
    return bound[0], bound[1]


def drivers() -> dict[str, Driver]:
    """The pure half of every device OS that is installed, by name. A directory under drivers/ is one."""
    import pkgutil
    from importlib import import_module

    import underlace.drivers as package

    names = [m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg]
    return {name: import_module(f"{package.__name__}.{name}.device").driver() for name in names}


def unpack(backup: Path, settings: Settings, replace: bool) -> str:
    """Make a data directory from a backup; what was done, for people."""
    from datetime import UTC, datetime

    from underlace.controller import archive
    from underlace.controller.directory import DataDirectory
    from underlace.model.diagnostic import Refused
    from underlace.store.store import no_file

    if settings.database:
        raise Refused([no_file()])
    data = settings.data
    directory = DataDirectory.open(data)
    try:
        done = archive.unpack(backup, directory, datetime.now(UTC), replace=replace)
    except BaseException:
        directory.discard()
        raise
    directory.close()
    kept = "".join(f"\nkept what was there before: {file}" for file in done.kept)
    text = f"{data} holds {backup} as revision {done.revision}; tokens that were revoked since are in force again"
    return text + kept


def _no_store(data: Path) -> Diagnostic:
    from underlace.model.diagnostic import Diagnostic, Where

    return Diagnostic(
        Where(file=str(data)),
        "no-store",
        "There is no controller here",
        f"{data} is no data directory of a controller.",
        "Name the directory that `underlace up --data` was given.",
    )


def recover(settings: Settings) -> str:
    """A new administrator's token for whoever owns the data directory; what was done, for people."""
    from underlace.controller.authority import Authority
    from underlace.controller.directory import DataDirectory, writable
    from underlace.controller.identity import Identity
    from underlace.model.diagnostic import Refused
    from underlace.store.identity import IdentityStore
    from underlace.store.store import Store

    data = settings.data
    if not (data / "ca" / "ca.pem" if settings.database else data / "store.sqlite").is_file():
        raise Refused([_no_store(data)])
    with ExitStack() as stack:
        directory = DataDirectory.open(data)
        stack.callback(directory.close)
        store = Store.open(settings.database or directory.store)
        stack.callback(store.close)
        with writable(directory.path):
            authority = Authority(directory.authority)
            token = Identity(IdentityStore(store), authority).recovery_token()
            directory.write_context(directory.url(), authority.ca_pem, token.text)
        return f"{directory.context} has a new administrator's token; the others are in force as before"


if __name__ == "__main__":
    run()

"""The agents' parent: imports the agent once, then forks one per device; each is the agent that a real device runs.

    python -m underlace.lab.agents DIRECTORY

Separate processes of a large lab would cost seconds of CPU and gigabytes before the first packet (hazards 12).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from underlace.lab import channel, namespace
from underlace.lab.state import State, stop

SOCKET = "agents.sock"
ROLE = "agents"
AGENT = "agent"
_END_SECONDS = 10.0


def config_path(directory: Path, device: str) -> Path:
    """The agent's settings file on the device's disk."""
    return directory / "devices" / device / "agent.json"


def log_path(directory: Path, device: str) -> Path:
    return directory / "logs" / f"agent-{device}.log"


class Parent:
    def __init__(self, state: State, run: Callable[[Path], None]) -> None:
        self.state, self.run = state, run

    def start(self, device: str, holder: int) -> int:
        """Fork the agent of a device; holder: the process that holds its namespaces."""
        config, log = config_path(self.state.directory, device), log_path(self.state.directory, device)
        pid = os.fork()
        if pid == 0:
            try:
                enter(holder, log)
                self.run(config)
            except SystemExit as ended:
                os._exit(int(ended.code or 0))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        self.state.record(AGENT, device, pid)
        return pid

    def stop(self, device: str, number: int) -> None:
        """Send an agent a signal and wait until it is gone."""
        process = self.state.running(AGENT, device)
        if process is not None:
            stop(process, number, _END_SECONDS)

    def answer(self, message: channel.Message) -> channel.Message:
        match message["do"]:
            case "start":
                return {"pids": {d: self.start(d, holder) for d, holder in message["devices"].items()}}
            case "stop":
                for device in message["devices"]:
                    self.stop(device, message["signal"])
                return {"stopped": message["devices"]}
            case other:
                raise ValueError(f"the agents' parent cannot {other}")


def enter(holder: int, log: Path) -> None:
    """Make this process one of a device: its own session, output and namespaces."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the exit codes of what the agent runs would be lost
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, descriptor)
    os.closerange(3, 64)
    namespace.setns(f"/proc/{holder}/ns/uts", namespace.CLONE_NEWUTS)
    namespace.setns(f"/proc/{holder}/ns/net", namespace.CLONE_NEWNET)
    namespace.setns(f"/proc/{holder}/ns/mnt", namespace.CLONE_NEWNS)
    os.chdir("/")


def serve(directory: Path, run: Callable[[Path], None]) -> None:
    """Answer requests for agents for ever; `run` is the agent, everything it needs is imported."""
    state = State.load(directory)
    if state is None:
        raise SystemExit(f"{directory} holds no lab")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent, server = Parent(state, run), channel.listen(directory / SOCKET)
    gc.collect()
    gc.freeze()
    state.record(ROLE, "", os.getpid())
    channel.serve(server, parent.answer)


def program() -> Callable[[Path], None]:
    """The agent, as `python -m underlace.agent CONFIG` runs it on a device.

    Imported here and not above: whoever only speaks to this process needs none of it.
    """
    import underlace.drivers.linux.device  # noqa: F401  before the forks, which share what is imported
    from underlace.agent.config import load_config
    from underlace.agent.main import load_driver, main
    from underlace.drivers.linux.probes import probes

    probes()

    def run(config: Path) -> None:
        settings = load_config(config, {})
        driver, door = load_driver(settings)
        sys.exit(main(settings, driver, door))

    return run


if __name__ == "__main__":
    serve(Path(sys.argv[1]), program())

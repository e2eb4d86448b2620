"""What a database says when it cannot be used, as a finding with a way out."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from underlace.model.diagnostic import Diagnostic, Where

_AWAY = {
    sqlite3.SQLITE_BUSY: "Another program holds the file (a shell, a copy): `fuser store.sqlite` names it. End it, "
    "then try again.",
    sqlite3.SQLITE_LOCKED: "Try again.",
    sqlite3.SQLITE_READONLY: "See to the permissions of the data directory: is its disk mounted read-only?",
    sqlite3.SQLITE_IOERR: "See to the disk of the data directory: has it space, does the kernel's log name errors?",
    sqlite3.SQLITE_FULL: "Make room on the disk of the data directory, then try again; the controller need not be "
    "started anew.",
    sqlite3.SQLITE_CANTOPEN: "See to the permissions and the disk space of the data directory.",
}
"""SQLite's primary result codes for a file that cannot be used now; the other operational ones are ours to mend."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_SERVER_AWAY = {"25006"}
"""SQLSTATEs of a server that cannot be used now, beside the operational ones: it is a standby, and read-only."""

_SERVER_DAMAGED = {"XX001", "XX002"}


def finding(fault: DBAPIError) -> Diagnostic | None:
    """What to tell about an error of the database, None for one that is a fault of the program."""
    if isinstance(fault.orig, sqlite3.Error):
        code = getattr(fault.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGED:
            return _damaged(_words(fault), "the newest backup (underlace restore --replace FILE)")
        return _unavailable(_words(fault), _AWAY[code]) if code in _AWAY else None
    state = getattr(fault.orig, "sqlstate", None) or ""
    if state in _SERVER_DAMAGED:
        return _damaged(_words(fault), "a copy by the server's own tools")
    if state in _SERVER_AWAY or isinstance(fault, (OperationalError, InterfaceError)):
        return _unavailable(
            _words(fault), "See to the database (is it running and reachable, has its disk space?), then try again."
        )
    return None


def _words(fault: DBAPIError) -> str:
    return str(fault.orig).strip()


def _unavailable(why: str, remedy: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "store-unavailable",
        "The database cannot be used now",
        f"Nothing was changed. It says: {why}",
        remedy,
    )


def _damaged(why: str, copy: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "store-damaged",
        "The database is damaged",
        f"Nothing was changed. It says: {why}",
        f"Stop the controller, see to the disk, and restore {copy}. The network goes on meanwhile.",
    )

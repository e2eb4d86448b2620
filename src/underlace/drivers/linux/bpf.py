"""The two programs that make a VLAN of a port without 8021q: assembled, loaded and pinned. No compiler.

    port ──ingress── pop:  of this VLAN? take the tag off, out by the link's end      else on as before
    end  ──ingress── push: put the tag on, out by the port

Their names say what they do ("p10_57": VLAN 10 to link 57): whoever reads them back need not look inside.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from pathlib import Path

from underlace import syscall

NAME_MAX = 15

_PROG_LOAD, _OBJ_PIN = 5, 6
_SCHED_CLS = 3
_LICENCE = b"Dual BSD/GPL"
_LOG_SIZE = 65_536
_ATTRIBUTE = struct.Struct("<IIQQIIQII16s")

# Opcodes (_UNLESS, _WHEN: skip unless, or when, a register has a value) and helpers, from linux/bpf.h.
_MOV, _MOV_TO, _AND, _CALL, _EXIT, _LOAD, _UNLESS, _WHEN = 0xB7, 0xBF, 0x57, 0x85, 0x95, 0x61, 0x55, 0x15
_VLAN_PUSH, _VLAN_POP, _REDIRECT = 18, 19, 23
_VLAN_PRESENT, _VLAN_TCI, _VLAN_PROTOCOL = 20, 24, 28
"""Offsets in `struct __sk_buff`."""

_ON, _DROP = -1, 2
"""TC_ACT_UNSPEC: to the next filter, and then up the stack. TC_ACT_SHOT."""

_VLAN_ID = 0xFFF
_8021Q = int.from_bytes(b"\x81\x00", sys.byteorder)


def _do(code: int, to: int = 0, by: int = 0, skip: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, to | by << 4, skip, value)


def _return(value: int) -> bytes:
    return _do(_MOV, 0, value=value) + _do(_EXIT)


def _redirect(link: int) -> bytes:
    """Out by a link, or dropped where the step before has failed."""
    fine = _do(_WHEN, 0, skip=2) + _return(_DROP)
    return fine + _do(_MOV, 1, value=link) + _do(_MOV, 2) + _do(_CALL, value=_REDIRECT) + _do(_EXIT)


def pop(vlan: int, link: int) -> bytes:
    """For frames that enter by a port: those of a VLAN lose their tag and go out by a link."""
    passes = _return(_ON)
    return b"".join(
        (
            _do(_MOV_TO, 6, 1),
            _do(_LOAD, 7, 6, _VLAN_PRESENT) + _do(_UNLESS, 7, skip=2) + passes,
            _do(_LOAD, 7, 6, _VLAN_PROTOCOL) + _do(_WHEN, 7, skip=2, value=_8021Q) + passes,
            _do(_LOAD, 7, 6, _VLAN_TCI) + _do(_AND, 7, value=_VLAN_ID) + _do(_WHEN, 7, skip=2, value=vlan) + passes,
            _do(_MOV_TO, 1, 6) + _do(_CALL, value=_VLAN_POP),
            _redirect(link),
        )
    )


def push(vlan: int, port: int) -> bytes:
    """For frames that leave: a priority tag gives way to that of the VLAN, and they go out by the port."""
    return b"".join(
        (
            _do(_MOV_TO, 6, 1),
            _do(_LOAD, 7, 6, _VLAN_PRESENT) + _do(_WHEN, 7, skip=5),
            _do(_MOV_TO, 1, 6) + _do(_CALL, value=_VLAN_POP) + _do(_WHEN, 0, skip=2) + _return(_DROP),
            _do(_MOV_TO, 1, 6) + _do(_MOV, 2, value=_8021Q) + _do(_MOV, 3, value=vlan),
            _do(_CALL, value=_VLAN_PUSH),
            _redirect(port),
        )
    )


def pop_name(vlan: int, link: int) -> str:
    return f"p{vlan}_{link}"[:NAME_MAX]


def push_name(vlan: int, port: int) -> str:
    return f"u{vlan}_{port}"[:NAME_MAX]


def load(code: bytes, name: str) -> int:
    """A descriptor of a program that the kernel has checked. Raises OSError, with the checker's words if any."""
    program = ctypes.create_string_buffer(code, len(code))
    licence, log = ctypes.create_string_buffer(_LICENCE), ctypes.create_string_buffer(_LOG_SIZE)
    where = [ctypes.addressof(buffer) for buffer in (program, licence, log)]
    text = name.encode()
    attribute = _ATTRIBUTE.pack(_SCHED_CLS, len(code) // 8, where[0], where[1], 1, _LOG_SIZE, where[2], 0, 0, text)
    try:
        return syscall.bpf(_PROG_LOAD, attribute)
    except OSError as error:
        said = log.value.decode(errors="replace").strip()
        raise OSError(error.errno, f"{error.strerror}{f': {said[-200:]}' if said else ''}") from error


def pin(program: int, path: Path) -> None:
    """Name a program in a bpf file system, for `tc` to find. Raises OSError."""
    name = ctypes.create_string_buffer(str(path).encode())
    syscall.bpf(_OBJ_PIN, struct.pack("<QII", ctypes.addressof(name), program, 0))

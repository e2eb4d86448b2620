"""Questions and answers between controllers of one store: a device listens to one of them, whoever is asked.

    A: question, devices ──► all ──► B, where a device listens ──► device ──► B ──► pieces of the answer ──► A

Bounded pieces in passing, nothing stored. What arrives too late is dropped.
"""

from __future__ import annotations

import base64
import secrets
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator

import msgspec
from structlog import get_logger

from underlace.live.board import Board
from underlace.model.question import ANSWER_MAX, Answer, Observed, Question

Say = Callable[[list[str]], bool]

TEXT_MAX = 7_900
"""Bytes of one message."""

PIECE = 7_000
"""Characters of an answer in one message."""

PIECES_MAX = 64
"""Pieces of an answer; one that is larger loses rows."""

OPEN_MAX = 1_024
"""Answers of which not all pieces have come."""

NAMES = 40
"""Devices in one message."""

log = get_logger()


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """asker: the controller that asks."""

    asker: str
    question: Question
    devices: tuple[str, ...]


class Piece(msgspec.Struct, frozen=True, tag="piece"):
    """A part of an answer for the controller that asked, compressed, base64."""

    asker: str
    id: str
    device: str
    number: int
    of: int
    text: str


_decoder = msgspec.json.Decoder(Ask | Piece)


class Exchange:
    """`join` once there is somebody to talk to; `heard` may be called before."""

    def __init__(self, board: Board, name: str | None = None) -> None:
        self._board = board
        self._name = name or secrets.token_hex(8)
        self._say: Say = lambda _: False
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], dict[int, str]] = OrderedDict()

    def join(self, say: Say) -> None:
        self._say = say
        self._board.elsewhere = self._pass_on

    def heard(self, text: str) -> None:
        """What another controller says; never raises."""
        try:
            message = _decoder.decode(text)
            if isinstance(message, Ask):
                self._asked(message)
            elif message.asker == self._name:
                self._piece(message)
        except (msgspec.MsgspecError, ValueError, zlib.error) as odd:
            log.warning("live-relay-odd", error=str(odd)[:200])

    def _pass_on(self, question: Question, devices: Collection[str]) -> bool:
        names = sorted(devices)
        parts = (tuple(names[at : at + NAMES]) for at in range(0, len(names), NAMES))
        texts = [_encoded(Ask(self._name, question, part)) for part in parts]
        return all(len(text.encode()) <= TEXT_MAX for text in texts) and self._say(texts)

    def _asked(self, ask: Ask) -> None:
        if ask.asker == self._name:
            return
        here = [device for device in ask.devices if self._board.listens(device)]
        if here:
            self._board.put(ask.question, here, ask.question.seconds, lambda d, a: self._send(ask.asker, d, a))

    def _send(self, asker: str, device: str, answer: Answer) -> None:
        self._say([_encoded(piece) for piece in _pieces(asker, device, answer)])

    def _piece(self, piece: Piece) -> None:
        if not (0 <= piece.number < piece.of <= PIECES_MAX):
            return
        with self._lock:
            key = (piece.id, piece.device)
            parts = self._open.setdefault(key, {})
            parts[piece.number] = piece.text
            whole = "".join(parts[n] for n in range(piece.of)) if len(parts) == piece.of else None
            if whole is not None:
                del self._open[key]
            elif len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
        if whole is not None:
            packed = zlib.decompressobj().decompress(base64.b64decode(whole), ANSWER_MAX)
            self._board.answer(piece.device, msgspec.json.decode(packed, type=Answer))


def _pieces(asker: str, device: str, answer: Answer) -> Iterator[Piece]:
    """An answer in so many pieces as are allowed, with as many rows as fit in there."""
    text = _packed(answer)
    while len(text) > PIECE * PIECES_MAX:
        rows = answer.observed.rows
        answer = Answer(answer.id, Observed(rows[: len(rows) // 2], answer.observed.source, True), answer.error)
        text = _packed(answer)
    parts = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    for number, part in enumerate(parts):
        yield Piece(asker, answer.id, device, number, len(parts), part)


def _packed(answer: Answer) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(answer), 6)).decode()


def _encoded(message: Ask | Piece) -> str:
    return msgspec.json.encode(message).decode()

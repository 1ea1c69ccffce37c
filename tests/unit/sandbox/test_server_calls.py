"""The fork server's handler of one call, whose caller goes away at the worst moment."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from gazami.sandbox.inside import server
from gazami.sandbox.spec import Call


class Talkative:
    """A request whose answer does not fit into a socket."""

    def run(self, input_fd: int | None, output_fd: int | None) -> str:
        return "x" * (10 << 20)


def test_a_caller_who_goes_away_amid_the_answer_gets_no_second_one() -> None:
    ours, theirs = socket.socketpair()
    handler = os.fork()
    if handler == 0:
        status = 1
        try:
            ours.close()
            server._call(theirs, Call(cast(Any, Talkative()), has_input=False, has_output=False), [])
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    with ours:
        length = int.from_bytes(ours.recv(8), "big")
        ours.shutdown(socket.SHUT_WR)
        assert os.waitstatus_to_exitcode(os.waitpid(handler, 0)[1]) == 0, "the handler would have told an error"
        rest = 0
        while data := ours.recv(1 << 20):
            assert b"\0" not in data, "another length"
            rest += len(data)
    assert rest < length

#!/usr/bin/env python3
"""terminal.py COMMAND...: runs a command on a terminal of its own.

Answers each question of the command, which ends with ": ", by the next line of
standard input, as soon as the terminal does not echo. Prints what the terminal showed,
and exits as the command does.
"""
import os
import pty
import sys
import termios
import time


def read(terminal):
    """What the terminal shows next; nothing once the command has ended."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def echoes(terminal):
    return termios.tcgetattr(terminal)[3] & termios.ECHO


def main():
    answers = sys.stdin.buffer.read().splitlines(keepends=True)
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    shown = b""
    while piece := read(terminal):
        shown += piece
        if shown.endswith(b": ") and answers:
            deadline = time.monotonic() + 10
            while echoes(terminal):
                if time.monotonic() > deadline:
                    sys.exit("the command asks with an echo")
                time.sleep(0.001)
            os.write(terminal, answers.pop(0))
    sys.stdout.buffer.write(shown)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()

#!/usr/bin/env python3
"""terminal.py COMMAND...: runs a command in a new pseudo-terminal.

Each line of standard input is a text, a tab and keys. Waits until the new output of the terminal has
the text, at most 10 seconds, then types the keys, in which \\ begins an escape as in Python; a name
such as SIGTERM sends the signal to the foreground instead. After the text ": ", a prompt for a
password, waits until the echo is off, after "> " until the terminal is as it was at first.

Prints all output. Exits with the command's exit code; with 0 if the last line has no keys.
"""
import contextlib
import os
import pty
import select
import signal
import sys
import termios
import time

steps = [line.rstrip("\n").split("\t") for line in sys.stdin]
child, terminal = pty.fork()
if child == 0:
    # The caller may ignore signals, as in the background; Python itself ignores SIGPIPE.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
first = termios.tcgetattr(terminal)


def is_ready(text, settings):
    return settings == first if text == "> " else text != ": " or not settings[3] & termios.ECHO


for text, keys in steps:
    new, deadline = b"", time.monotonic() + 10
    while text.encode() not in new or not is_ready(text, termios.tcgetattr(terminal)):
        if time.monotonic() > deadline:
            sys.exit(f"{text!r} does not come, or the terminal is wrong: {new}")
        # A read fails when the command has ended.
        with contextlib.suppress(OSError):
            if select.select([terminal], [], [], 0.01)[0]:
                new += os.read(terminal, 4096)
    sys.stdout.buffer.write(new)
    if not keys:
        os.kill(child, signal.SIGKILL)
        sys.exit()
    if keys.startswith("SIG"):
        os.killpg(os.tcgetpgrp(terminal), getattr(signal, keys))
    else:
        os.write(terminal, keys.encode().decode("unicode_escape").encode("latin-1"))
with contextlib.suppress(OSError):
    while chunk := os.read(terminal, 4096):
        sys.stdout.buffer.write(chunk)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

#!/usr/bin/env python3
"""terminal.py COMMAND...: runs a command in a new pseudo-terminal.

Each line of standard input is a text, a tab and keys. Waits until the new output of the terminal has
the text, at most 10 seconds, then types the keys, in which \\ begins an escape as in Python; a name
such as SIGTERM sends the signal to the foreground instead. After the text ": ", a prompt for a
password, waits until the echo is off, after "> " until the terminal is as it was at first.

Prints all output. Exits with the command's exit code; with 0 if the last line has no keys.
"""
import os
import pty
import select
import signal
import sys
import termios
import time


def type_keys(terminal, keys):
    if keys.startswith("SIG"):
        os.killpg(os.tcgetpgrp(terminal), getattr(signal, keys))
    else:
        os.write(terminal, keys.encode().decode("unicode_escape").encode("latin-1"))


def main():
    steps = [line.rstrip("\n").split("\t") for line in sys.stdin]
    child, terminal = pty.fork()
    if child == 0:
        # The caller may ignore signals, as in the background; Python itself ignores SIGPIPE.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])
    settings = first = termios.tcgetattr(terminal)
    output, new, deadline, is_open = b"", b"", time.monotonic() + 10, True
    while is_open or steps:
        if steps and (not is_open or time.monotonic() > deadline):
            print(output.decode(errors="replace"))
            sys.exit(f"{steps[0]} does not come, or the terminal is wrong: {settings}")
        if is_open and select.select([terminal], [], [], 0.01)[0]:
            try:
                new += (chunk := os.read(terminal, 4096))
                output += chunk
            except OSError:
                chunk = b""
            is_open = bool(chunk)
        if steps and steps[0][0].encode() in new:
            settings = termios.tcgetattr(terminal)
            if steps[0][0] == ": " and settings[3] & termios.ECHO:
                continue
            if steps[0][0] == "> " and settings != first:
                continue
            _, keys = steps.pop(0)
            if not keys:
                os.kill(child, signal.SIGKILL)
                break
            new, deadline = b"", time.monotonic() + 10
            type_keys(terminal, keys)
    sys.stdout.buffer.write(output)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if is_open is False else 0)


main()

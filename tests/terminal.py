#!/usr/bin/env python3
"""terminal.py [--keys KEYS TEXT] COMMAND...: runs a command in a new pseudo-terminal.

Answers each prompt of the command (output that ends with ": ") with the next line of standard
input, as soon as the terminal's echo is off. Prints the output of the terminal, and exits with the
command's exit code.

With --keys, types KEYS after a shell's prompt (output with "$ "), and exits with 0 as
soon as its output has TEXT, or with 1 after 10 seconds.
"""
import os
import pty
import select
import signal
import sys
import termios
import time


def read(terminal):
    """The next output of the terminal; empty once the command has ended."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def echoes(terminal):
    return termios.tcgetattr(terminal)[3] & termios.ECHO


def complete(keys, text, command):
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    output, prompt, deadline = b"", 0, time.monotonic() + 10
    while time.monotonic() < deadline and not (prompt and text in output[prompt:]):
        if select.select([terminal], [], [], 0.1)[0]:
            output += read(terminal)
        if not prompt and b"$ " in output:
            prompt = len(output)
            os.write(terminal, keys)
    os.kill(child, signal.SIGKILL)
    print(output.decode(errors="replace"))
    sys.exit(0 if prompt and text in output[prompt:] else 1)


def main():
    if sys.argv[1] == "--keys":
        complete(sys.argv[2].encode(), sys.argv[3].encode(), sys.argv[4:])
    answers = sys.stdin.buffer.read().splitlines(keepends=True)
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    output = b""
    while chunk := read(terminal):
        output += chunk
        if output.endswith(b": ") and answers:
            deadline = time.monotonic() + 10
            while echoes(terminal):
                if time.monotonic() > deadline:
                    sys.exit("the command prompts with echo on")
                time.sleep(0.001)
            os.write(terminal, answers.pop(0))
    sys.stdout.buffer.write(output)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()

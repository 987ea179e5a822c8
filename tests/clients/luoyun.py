"""Shared code of the three clients: command-line arguments and requests."""

import argparse
import base64
import http.client
import json
import os
import urllib.parse


def arguments(description):
    """A parser with the arguments that every client takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1:3000", help="HOST:PORT of the server")
    parser.add_argument("--user", default="luoyun")
    parser.add_argument(
        "--password",
        default=os.environ.get("LUOYUN_PASSWORD", "luoyun"),
        help="default: $LUOYUN_PASSWORD, which other users of this machine cannot see",
    )
    return parser


def post(host, path, parameters):
    """Sends parameters to path; returns the reply."""
    # The API ignores this header. The clients of the design document send it.
    dummy = base64.b64encode(b"cleartext username:cleartext passwords").decode()
    headers = {
        "Authorization": "Basic " + dummy,
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "LYC Client",
    }
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("POST", path, urllib.parse.urlencode(parameters), headers)
    reply = json.load(connection.getresponse())
    connection.close()
    return reply


def log_in(args):
    """Logs in; returns the session key, or prints the error reply and exits."""
    reply = post(args.host, "/api/login", {"username": args.user, "password": args.password})
    if reply["code"] != 0:
        show(reply)
    return reply["session_key"]


def show(reply):
    """Prints the reply and exits with its code."""
    print(json.dumps(reply, ensure_ascii=False))
    raise SystemExit(reply["code"])

"""Schemathesis hook: puts a valid session key into every other generated request, so that the
checks after authentication are tested too."""

import itertools
import os

import schemathesis

KEY = os.environ["SESSION_KEY"]
turn = itertools.cycle([True, False])


@schemathesis.hook
def map_body(context, body):
    # Not into a logout, which would end the session for all later requests.
    ends_session = context.operation.path == "/api/logout"
    if isinstance(body, dict) and "session_key" in body and not ends_session and next(turn):
        body["session_key"] = KEY
    return body

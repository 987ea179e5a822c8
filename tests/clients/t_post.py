#!/usr/bin/env python3
"""Logs in and prints the reply, with its session key."""

import luoyun

args = luoyun.arguments(__doc__).parse_args()
credentials = {"username": args.user, "password": args.password}
luoyun.show(luoyun.post(args.host, "/api/login", credentials))

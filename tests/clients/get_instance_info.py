#!/usr/bin/env python3
"""Prints the address of an instance's remote desktop."""

import luoyun

parser = luoyun.arguments(__doc__)
parser.add_argument("instance_id")
args = parser.parse_args()
parameters = {"instance_id": args.instance_id, "session_key": luoyun.log_in(args)}
luoyun.show(luoyun.post(args.host, "/api/instance/baseinfo", parameters))

#!/usr/bin/env python3
"""Prints a page of the user's own instances."""

import luoyun

parser = luoyun.arguments(__doc__)
parser.add_argument("--sepa", default="10", help="items per page")
parser.add_argument("--page", default="1")
args = parser.parse_args()
parameters = {"session_key": luoyun.log_in(args), "sepa": args.sepa, "p": args.page}
luoyun.show(luoyun.post(args.host, "/api/myun/instance", parameters))

"""Prints the [virt-viewer] group of each file of a JSON list, as GLib reads it: as remote-viewer."""

import json
import sys

from gi.repository import GLib


def read(text):
    file = GLib.KeyFile()
    file.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.NONE)
    (group,), _ = file.get_groups()
    return {"group": group, **{key: file.get_string(group, key) for key in file.get_keys(group)[0]}}


print(json.dumps([read(text) for text in json.load(sys.stdin)]))

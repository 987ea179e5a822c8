#!/bin/sh
# state-folder.sh FOLDER: creates the folder of the stores, and in it the file of the key-value
# store, empty and in write-ahead log mode. Does not change an existing file.
#
# Spin would create that file with a rollback journal. A login would then hold the store's only
# connection, which every reader needs, for several syncs to disk instead of one.
set -eu
file=$1/sqlite_key_value.db
mkdir -p -m 700 "$1"
if [ -e "$file" ]; then exit 0; fi

# A database without tables is one page (SQLite, "Database File Format", 1.3 and 1.6): page size
# 4096, read and write version 2 (write-ahead log), a size of one page; at byte 100, the header of
# an empty leaf page.
{
    printf 'SQLite format 3\000\020\000\002\002\000\100\040\040\000\000\000\000\000\000\000\001'
    head -c 68 /dev/zero
    printf '\015\000\000\000\000\020\000\000'
    head -c 3988 /dev/zero
} >"$file.new"
mv "$file.new" "$file"

#!/bin/sh
# state-folder.sh FOLDER: makes the folder of the stores, and the file of the key-value store in
# it, empty and in write-ahead log mode. A file that is there stays as it is.
#
# Spin makes that file with a rollback journal. A login then keeps the store's only connection,
# which every reader needs, for the time of several syncs to disk instead of one.
set -eu
file=$1/sqlite_key_value.db
mkdir -p "$1"
if [ -e "$file" ]; then exit 0; fi

# A database without tables is one page (SQLite, "Database File Format", 1.3 and 1.6): the page
# size 4096, the version numbers 2 and 2, which mean write-ahead log, and one page in all; at byte
# 100 the header of an empty leaf.
{
    printf 'SQLite format 3\000\020\000\002\002\000\100\040\040\000\000\000\000\000\000\000\001'
    head -c 68 /dev/zero
    printf '\015\000\000\000\000\020\000\000'
    head -c 3988 /dev/zero
} >"$file.new"
mv "$file.new" "$file"

"""Prints the tables of datasets/README.md for an access log: count.py LOG."""

import collections
import re
import sys

LINE = re.compile(
    rb'(\S+) - (.+?) \[([^\]]*)\] "(.*?)" (\d+) (\d+) "(.*?)" "(.*?)"\n', re.DOTALL
)
KINDS = [
    ("health checks (`GET /healthz HTTP/1.1`)", lambda f: f[4] == b"GET /healthz HTTP/1.1"),
    ("IPv6 address", lambda f: b":" in f[1]),
    ("a user name", lambda f: f[2] != b"-"),
    ("a user name with a space or an escape", lambda f: b" " in f[2] or b"\\" in f[2]),
    ("methods other than GET", lambda f: not f[4].startswith(b"GET ") and f[4].count(b" ") >= 2),
    ("HTTP/2.0", lambda f: f[4].endswith(b"HTTP/2.0")),
    ("HTTP/1.0", lambda f: f[4].endswith(b"HTTP/1.0")),
    ("request without two spaces", lambda f: f[4].count(b" ") < 2),
    ("request with more than two spaces", lambda f: f[4].count(b" ") > 2),
    ("empty request", lambda f: f[4] == b""),
    (r"escape (`\xHH`) in the request", lambda f: b"\\x" in f[4]),
    (r"escape (`\xHH`) in the referer", lambda f: b"\\x" in f[7]),
    (r"escape (`\xHH`) in the user agent", lambda f: b"\\x" in f[8]),
    ("no referer", lambda f: f[7] == b"-"),
    ("no user agent", lambda f: f[8] == b"-"),
    ("longer than 4096 bytes", lambda f: len(f[0]) > 4096),
]


def main():
    with open(sys.argv[1], "rb") as log:
        lines = log.readlines()
    fields = []
    for line in lines:
        match = LINE.fullmatch(line)
        if match is None:
            sys.exit(f"not a combined line: {line!r}")
        fields.append((line, *match.groups()))
    print(f"{len(lines)} lines, {sum(map(len, lines))} bytes.\n")
    print("| status | lines |\n| --- | --- |")
    for status, count in sorted(collections.Counter(f[5] for f in fields).items()):
        print(f"| {status.decode()} | {count} |")
    print("\n| kind (a line can be of several) | lines |\n| --- | --- |")
    for kind, is_kind in KINDS:
        print(f"| {kind} | {sum(map(is_kind, fields))} |")


main()

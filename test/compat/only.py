"""Keeps of a requirements file made by pip-compile what the .in file names.

Usage: only.py studio.in FULL > studio.txt
"""

import re
import sys


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def main(wanted, full):
    names = {plain(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in open(wanted) if line.strip() and not line.startswith("#")}
    keep = False
    for line in open(full):
        begins = re.match(r"([A-Za-z0-9._-]+)(\[.*\])?==", line)
        if begins:
            keep = plain(begins[1]) in names
            names.discard(plain(begins[1]))
        if keep and not line.lstrip().startswith("#"):
            sys.stdout.write(line)
    if names:
        sys.exit(f"not in {full}: {sorted(names)}")


main(*sys.argv[1:])

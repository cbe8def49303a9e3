"""Counts the tests of one run: "passed failed" on stdout, failures on stderr.

Reads the event stream of "go test -json" or a JUnit file of pytest.
"""

import json
import sys
import xml.etree.ElementTree as xml


def go(path):
    passed = failed = 0
    output = {}
    for line in open(path, errors="replace"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        key = (event.get("Package") or event.get("ImportPath", ""), event.get("Test"))
        action = event.get("Action")
        if action in ("output", "build-output"):
            output.setdefault(key, []).append(event.get("Output", ""))
        elif action == "pass" and key[1]:
            passed += 1
            output.pop(key, None)
        elif action in ("fail", "build-fail"):
            failed += 1
            print(f"--- {key[0]} {key[1] or ''}", file=sys.stderr)
            print("".join(output.get(key, []))[-6000:], file=sys.stderr)
    return passed, failed


def junit(path):
    passed = failed = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed


print(*(junit if sys.argv[1].endswith(".xml") else go)(sys.argv[1]))

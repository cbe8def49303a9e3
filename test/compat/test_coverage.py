"""Every operation that is answered is called by every client somewhere in these tests."""

import pathlib
import re

import pytest

HERE = pathlib.Path(__file__).parent


def answered(service):
    """The operations of the README's table, which a test keeps as the operation table is."""
    row = re.search(rf"^\| {service} \|.*\| ([^|]+) \|$", (HERE.parents[1] / "README.md").read_text(), re.MULTILINE)
    return row.group(1).split(", ")


def words(name, joint):
    """CreateWorkGroup as create_work_group, GetDPUSizes as get_dpu_sizes."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", joint, name).lower()


@pytest.mark.parametrize("service", ["athena", "glue", "sts", "iam", "logs"])
def test_every_client_calls_every_operation(service):
    python = "\n".join(f.read_text() for f in sorted(HERE.glob("*.py")) if f.name != "test_coverage.py")
    go = "\n".join(f.read_text() for f in sorted(HERE.glob("*_test.go")))
    called = {
        "boto3": lambda name: re.search(rf"\.{words(name, '_')}\b", python),
        "AWS CLI": lambda name: re.search(rf'"{service}",\s*"{words(name, "-")}"', python),
        "aws-sdk-go-v2": lambda name: re.search(rf"\.{name}\(ctx\b", go),
    }
    if service == "logs":  # a destination of Athena's; boto3 and "logs tail" stand for its clients
        called = {"boto3": called["boto3"]}
    names = answered(service)
    assert names
    # Newer than the newest release of the client.
    known = {"AWS CLI: GetSystemLogsForSession"}
    missing = [f"{client}: {name}" for client, calls in called.items() for name in names if not calls(name) and f"{client}: {name}" not in known]
    assert not missing, missing

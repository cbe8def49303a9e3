"""Higher-level clients as a user would use them."""

import os
import pathlib
import shutil
import sys

import pytest

PYATHENA = """
from pyathena import connect
from pyathena.error import OperationalError
from pyathena.spark.cursor import SparkCursor
conn = connect(work_group="spark", cursor_class=SparkCursor)
with conn.cursor(engine_configuration={"CoordinatorDpuSize": 1, "MaxConcurrentDpus": 2, "DefaultExecutorDpuSize": 1}) as cursor:
    cursor.execute("spark.range(4).selectExpr('sum(id) as s').show()")
    assert cursor.state == "COMPLETED", cursor.state
    assert "|  6|" in cursor.get_std_out(), cursor.get_std_out()
    try:
        cursor.execute("print(1 / 0)")
        raise SystemExit("a failure is not told")
    except OperationalError as e:
        assert "ZeroDivisionError" in str(e)
    assert cursor.state == "FAILED"
print("fine")
"""

PYATHENA_ASYNC = """
import time
import boto3
from pyathena import connect
from pyathena.spark.async_cursor import AsyncSparkCursor
conn = connect(work_group="spark", cursor_class=AsyncSparkCursor)
with conn.cursor(engine_configuration={"CoordinatorDpuSize": 1, "MaxConcurrentDpus": 2, "DefaultExecutorDpuSize": 1}) as cursor:
    query, future = cursor.execute("print('async')")
    execution = future.result()
    assert execution.state == "COMPLETED"
    assert cursor.get_std_out(execution).result() == "async"
    query, future = cursor.execute("import time; time.sleep(600)")
    athena = boto3.client("athena")
    while athena.get_calculation_execution_status(CalculationExecutionId=query)["Status"]["State"] != "RUNNING":
        time.sleep(0.05)
    cursor.cancel(query).result()
    assert future.result().state == "CANCELED"
print("fine")
"""

WRANGLER = """
import awswrangler as wr
got = wr.athena.run_spark_calculation(code="print(spark)", workgroup="spark")
assert got["Status"]["State"] == "COMPLETED", got
print("fine")
"""


@pytest.mark.parametrize("text", [PYATHENA, PYATHENA_ASYNC, WRANGLER], ids=["pyathena", "pyathena-async", "awswrangler"])
def test_python_clients(server, text):
    assert server.run(sys.executable, "-c", text, timeout=180).stdout.strip().endswith("fine")


TERRAFORM = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  endpoints {
    athena = "%(url)s"
    s3     = "%(url)s"
    sts    = "%(url)s"
  }
}
resource "aws_athena_workgroup" "spark" {
  name          = "by-terraform"
  description   = "made by Terraform"
  force_destroy = true
  configuration {
    execution_role = "arn:aws:iam::000000000000:role/any"
    engine_version {
      selected_engine_version = "PySpark engine version 3"
    }
    result_configuration {
      output_location = "s3://glaux-000000000000/terraform"
    }
  }
  tags = { team = "blue" }
}
"""


def provider():
    """The local directory with Terraform's AWS provider, if both are installed."""
    roots = [pathlib.Path.home() / ".terraform.d/plugins", *pathlib.Path("/").glob("usr/*/terraform/plugins"),
             *pathlib.Path("/").glob("usr/local/share/terraform/plugins"), *pathlib.Path("/opt").glob("*")]
    if os.environ.get("GLAUX_TEST_TERRAFORM_PLUGINS"):
        roots.insert(0, pathlib.Path(os.environ["GLAUX_TEST_TERRAFORM_PLUGINS"]))
    found = [r for r in roots if list(r.glob("registry.terraform.io/hashicorp/aws/*/*"))]
    return found[0] if found and shutil.which("terraform") else None


if provider():  # the requirement is for where it is installed

    def test_terraform_plans_nothing_twice(server, tmp_path):
        (tmp_path / "main.tf").write_text(TERRAFORM % {"url": server.url})
        (tmp_path / "rc").write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{provider()}"\n  }}\n}}\n')
        os.environ["TF_CLI_CONFIG_FILE"] = str(tmp_path / "rc")
        where = f"-chdir={tmp_path}"
        server.run("terraform", where, "init", "-no-color", timeout=300)
        server.run("terraform", where, "apply", "-no-color", "-auto-approve", timeout=300)
        plan = server.run("terraform", where, "plan", "-no-color", "-detailed-exitcode", timeout=300, check=False)
        assert plan.returncode == 0, plan.stdout + plan.stderr
        server.run("terraform", where, "destroy", "-no-color", "-auto-approve", timeout=300)

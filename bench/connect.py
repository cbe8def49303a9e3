"""Prints the requests that bench/connect.go sends, as released protobufs make them: one per line, hex."""

import sys
import uuid

from pyspark.sql.connect.proto import base_pb2, expressions_pb2, relations_pb2

session = str(uuid.uuid4())


def request(rows, columns, partitions):
    plan = relations_pb2.Relation()
    plan.range.start, plan.range.end, plan.range.step, plan.range.num_partitions = 0, rows, 1, partitions
    if columns > 1:
        project = relations_pb2.Relation()
        project.project.input.CopyFrom(plan)
        for n in range(columns):
            expression = expressions_pb2.Expression.ExpressionString(expression=f"id + {n} as c{n}")
            project.project.expressions.append(expressions_pb2.Expression(expression_string=expression))
        plan = project
    r = base_pb2.ExecutePlanRequest(session_id=session, client_type="bench")
    r.user_context.user_id = "bench"
    r.plan.root.CopyFrom(plan)
    return r.SerializeToString().hex()


for arguments in sys.argv[1:]:
    print(request(*map(int, arguments.split(","))))

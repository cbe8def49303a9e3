// Package compat drives released clients against the built binary: the AWS SDK
// for Go here, boto3, the AWS CLI, PyAthena, awswrangler and Terraform by pytest
// beside it. It needs "make build" and the runtime that GLAUX_TEST_RUNTIME names.
package compat

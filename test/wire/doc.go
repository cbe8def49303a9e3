// Package wire runs the whole server in one process and compares what goes
// over the wire with recorded transcripts (testdata/*.txt): one block per
// request, its reply below. "go test ./test/wire -update" records the replies
// anew; review the difference.
package wire

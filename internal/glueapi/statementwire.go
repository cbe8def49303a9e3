package glueapi

import (
	"time"

	"github.com/aws/smithy-go"

	"glaux/internal/statement"
)

// The outputs of the statement operations are types of our own, for two
// reasons. The SDK's leave out every number that is 0, such as the Id of a
// session's first statement, which clients read without asking. And the AWS
// Glue kernels know members of StatementOutputData that the public model lacks
// (MimeType, Result, StdOut, StdErr), without which they show no images;
// clients with the public model skip them.

// RunStatementOutput is the output of RunStatement.
type RunStatementOutput struct{ ID int }

// GetStatementOutput is the output of GetStatement.
type GetStatementOutput struct{ Statement statement.Statement }

// ListStatementsOutput is the output of ListStatements.
type ListStatementsOutput struct {
	Statements []statement.Statement
	NextToken  string // empty after the last page
}

// wire are the members that the outputs write.
var wire = struct {
	outer, statement, statements, nextToken                                    *smithy.Schema
	id, code, state, output, progress, started, completed                      *smithy.Schema
	data, executionCount, status, errorName, errorValue, traceback, line, text *smithy.Schema
	mimeType, result, stdout, stderr                                           *smithy.Schema
}{
	outer:          smithy.NewSchema(smithy.ShapeID{Namespace: "glaux", Name: "Output"}, smithy.ShapeTypeStructure, 0),
	statement:      member("Statement", smithy.ShapeTypeStructure),
	statements:     member("Statements", smithy.ShapeTypeList),
	nextToken:      member("NextToken", smithy.ShapeTypeString),
	id:             member("Id", smithy.ShapeTypeInteger),
	code:           member("Code", smithy.ShapeTypeString),
	state:          member("State", smithy.ShapeTypeString),
	output:         member("Output", smithy.ShapeTypeStructure),
	progress:       member("Progress", smithy.ShapeTypeDouble),
	started:        member("StartedOn", smithy.ShapeTypeLong),
	completed:      member("CompletedOn", smithy.ShapeTypeLong),
	data:           member("Data", smithy.ShapeTypeStructure),
	executionCount: member("ExecutionCount", smithy.ShapeTypeInteger),
	status:         member("Status", smithy.ShapeTypeString),
	errorName:      member("ErrorName", smithy.ShapeTypeString),
	errorValue:     member("ErrorValue", smithy.ShapeTypeString),
	traceback:      member("Traceback", smithy.ShapeTypeList),
	line:           member("member", smithy.ShapeTypeString),
	text:           member("TextPlain", smithy.ShapeTypeString),
	mimeType:       member("MimeType", smithy.ShapeTypeString),
	result:         member("Result", smithy.ShapeTypeString),
	stdout:         member("StdOut", smithy.ShapeTypeString),
	stderr:         member("StdErr", smithy.ShapeTypeString),
}

// member is the schema of a structure's member of the name and type.
func member(name string, of smithy.ShapeType) *smithy.Schema {
	none := smithy.ShapeID{Namespace: "glaux"}
	return smithy.NewSchema(none, smithy.ShapeTypeStructure, 1).AddMember(name, smithy.NewSchema(none, of, 0))
}

// Serialize implements smithy.Serializable.
func (o *RunStatementOutput) Serialize(s smithy.ShapeSerializer) {
	s.WriteStruct(wire.outer)
	s.WriteInt32(wire.id, int32(o.ID))
	s.CloseStruct()
}

// Serialize implements smithy.Serializable.
func (o *GetStatementOutput) Serialize(s smithy.ShapeSerializer) {
	s.WriteStruct(wire.outer)
	s.WriteStruct(wire.statement)
	writeStatement(s, &o.Statement)
	s.CloseStruct()
	s.CloseStruct()
}

// Serialize implements smithy.Serializable.
func (o *ListStatementsOutput) Serialize(s smithy.ShapeSerializer) {
	s.WriteStruct(wire.outer)
	s.WriteList(wire.statements)
	for i := range o.Statements {
		s.WriteStruct(wire.outer)
		writeStatement(s, &o.Statements[i])
		s.CloseStruct()
	}
	s.CloseList()
	if o.NextToken != "" {
		s.WriteString(wire.nextToken, o.NextToken)
	}
	s.CloseStruct()
}

// writeStatement writes the members of a Statement. Output is there if and
// only if the statement is over: the kernels read it without asking.
func writeStatement(s smithy.ShapeSerializer, st *statement.Statement) {
	s.WriteInt32(wire.id, int32(st.ID))
	s.WriteString(wire.code, st.Code)
	s.WriteString(wire.state, string(st.State))
	if o := st.Output; o != nil {
		s.WriteStruct(wire.output)
		writeOutput(s, o, st.ID)
		s.CloseStruct()
	}
	s.WriteFloat64(wire.progress, st.Progress())
	writeMillis(s, wire.started, st.Started)
	writeMillis(s, wire.completed, st.Completed)
}

// writeMillis writes a time in milliseconds since 1970, unless it is none.
func writeMillis(s smithy.ShapeSerializer, as *smithy.Schema, at time.Time) {
	if !at.IsZero() {
		s.WriteInt64(as, at.UnixMilli())
	}
}

func writeOutput(s smithy.ShapeSerializer, o *statement.Output, id int) {
	if o.Status == "" {
		return // it never ran
	}
	if o.Status == statement.StatusOK || o.Text != "" || o.MimeType != "" {
		s.WriteStruct(wire.data)
		s.WriteString(wire.text, o.Text)
		if o.MimeType != "" {
			// A kernel that sees a type shows what follows instead of TextPlain.
			s.WriteString(wire.mimeType, o.MimeType)
			s.WriteString(wire.result, o.Result)
			stdout, stderr := o.Streams()
			s.WriteString(wire.stdout, stdout)
			s.WriteString(wire.stderr, stderr)
		}
		s.CloseStruct()
	}
	s.WriteInt32(wire.executionCount, int32(id))
	s.WriteString(wire.status, o.Status)
	if o.Status != statement.StatusError {
		return
	}
	s.WriteString(wire.errorName, o.ErrorName)
	s.WriteString(wire.errorValue, o.ErrorValue)
	s.WriteList(wire.traceback)
	for _, line := range o.Traceback {
		s.WriteString(wire.line, line)
	}
	s.CloseList()
}

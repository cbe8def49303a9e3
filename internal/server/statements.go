package server

import (
	"cmp"
	"time"

	"glaux/internal/statement"
)

// Statements bounds the statements of Glue sessions.
type Statements struct {
	// MaxResult is how many bytes of a statement's text, and of its result of
	// another MIME type, are part of an answer: 1 KiB to 1 GiB. What is larger is
	// cut there, and kept in S3 whole. Zero: 16 MiB.
	MaxResult int `help:"Bytes of a Glue statement's result in an answer; a larger one is cut and kept in S3 whole." default:"16777216" yaml:"max-result"`
	// MaxQueue is how many statements of one session may wait or run: 1 to
	// 100,000. Zero: 1000.
	MaxQueue int `help:"Statements of one Glue session that may wait or run." default:"1000" yaml:"max-queue"`
}

func (s *Statements) fill() {
	s.MaxResult, s.MaxQueue = cmp.Or(s.MaxResult, 16<<20), cmp.Or(s.MaxQueue, 1000)
}

func (s *Statements) check(within func(name string, value, low, high int64)) {
	within("statement-max-result", int64(s.MaxResult), 1<<10, 1<<30)
	within("statement-max-queue", int64(s.MaxQueue), 1, 100000)
}

// patience is for how long it is held back that a calculation or a statement is
// not over yet.
const patience = 10 * time.Millisecond

// wireStatements makes the manager of statements, whose large results go where
// those of calculations go.
func (p *parts) wireStatements(keep results) (err error) {
	p.statements, err = statement.New(statement.Config{
		Home: p.home, Store: p.db, Sessions: p.sessions, Objects: keep, Log: p.s.log,
		Patience:  patience,
		MaxResult: p.s.cfg.Statements.MaxResult, MaxQueue: p.s.cfg.Statements.MaxQueue,
	})
	return err
}

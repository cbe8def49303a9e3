// Package logs keeps log groups, streams and events as CloudWatch Logs has
// them, in files below one directory, and answers who may do what with them.
//
// A Store is the files: it knows no callers. The server's own writers append
// to it, creating what is missing, and leave a mark with what they appended so
// that they know after a restart what has arrived. A Manager is what the
// logs API stands on: it asks package access before it touches the store.
//
// Events lie in append-only segments, a directory a stream. An append is one
// record with a checksum and is acknowledged once the kernel has it: killing
// the process loses nothing that was acknowledged, and a record cut short by
// a kill is cut away when the stream is next opened. Metadata never passes
// through the server's database: a chatty session must not slow down others.
//
// A read finds its events by scanning the segments whose time range it
// touches, holding no more than one page of them.
package logs

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"glaux/internal/ident"
)

// ReservedPrefix begins the names of the groups that the service itself keeps.
// Clients may read them and change nothing about them.
const ReservedPrefix = "/glaux/"

// ManagedGroup is the group of a workgroup's managed logs.
func ManagedGroup(workgroup string) string { return ident.ManagedLogs + workgroup }

// Limits of CloudWatch Logs.
const (
	EventOverhead = 26                    // counted for every event beside its message
	MaxBatchBytes = 1 << 20               // messages and overhead of one PutLogEvents
	MaxBatch      = 10000                 // events of one PutLogEvents, and of one page
	MaxMessage    = 1<<20 - EventOverhead // bytes of one message
	maxPageBytes  = 1 << 20               // messages and overhead of one page
	maxName       = 512                   // characters of a group's or stream's name
	maxMark       = 1 << 10               // bytes of a mark
	maxSpan       = 24 * time.Hour        // between the first and last event of one PutLogEvents
	maxAge        = 14 * 24 * time.Hour   // of an event of PutLogEvents
	maxAhead      = 2 * time.Hour         // of an event of PutLogEvents
	day           = 24 * time.Hour        // of retention
	farFuture     = int64(1) << 62        // milliseconds, later than any event
	latestTime    = 253402300799999       // milliseconds, the end of the year 9999
	earliest      = int64(-1)             // sequence number before all
	latest        = int64(math.MaxInt64)  // sequence number after all
)

// What a store's methods fail with.
var (
	ErrNoGroup      = errors.New("no such log group")
	ErrNoStream     = errors.New("no such log stream")
	ErrGroupExists  = errors.New("log group exists")
	ErrStreamExists = errors.New("log stream exists")
	ErrProtected    = errors.New("log group is protected from deletion")

	// ErrRefused is part of an append's failure that trying again cannot mend.
	ErrRefused = errors.New("the append is refused")
)

// Event is one event to append. Its time is kept to the millisecond.
type Event struct {
	Time    time.Time
	Message string
}

// Entry is one event as a read returns it.
type Entry struct {
	Stream   string
	Time     time.Time
	Ingested time.Time
	Message  string
	ID       string // 56 digits, unique and never changing
}

// Group is a log group's metadata.
type Group struct {
	Name      string
	Created   time.Time
	Retention int               // days; 0: events do not expire
	Class     string            // STANDARD unless the creator said otherwise
	KMSKey    string            // kept, and not acted on
	Tags      map[string]string // never nil
	Protected bool              // from deletion
	Bytes     int64             // messages and overhead of what is kept; only read
}

// Managed reports whether the service itself keeps the group.
func (g *Group) Managed() bool { return strings.HasPrefix(g.Name, ReservedPrefix) }

// Stream is a log stream's metadata. Times are zero where there is no event.
type Stream struct {
	Name         string
	Created      time.Time
	First, Last  time.Time // of the events that are kept
	LastIngested time.Time
}

var (
	groupForm  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamForm = regexp.MustCompile(`^[^:*]+$`)
)

// ValidGroup reports whether a log group can have the name.
func ValidGroup(name string) bool {
	return groupForm.MatchString(name) && !strings.HasPrefix(strings.ToLower(name), "aws/")
}

// ValidStream reports whether a log stream can have the name.
func ValidStream(name string) bool {
	return streamForm.MatchString(name) && utf8.RuneCountInString(name) <= maxName
}

// Fit makes events that any CloudWatch Logs takes of whatever a program
// printed: a message that is too long becomes several of the same time, cut
// between characters, and an empty one, which nothing takes, a space. Bytes
// that are not UTF-8 become U+FFFD.
func Fit(events []Event) []Event {
	for i := range events {
		if n := len(events[i].Message); n == 0 || n > MaxMessage || !utf8.ValidString(events[i].Message) {
			return fit(events)
		}
	}
	return events
}

func fit(events []Event) []Event {
	all := make([]Event, 0, len(events)+1)
	for _, e := range events {
		rest := strings.ToValidUTF8(e.Message, "\uFFFD")
		if rest == "" {
			rest = " "
		}
		for len(rest) > MaxMessage {
			n := MaxMessage
			for !utf8.RuneStart(rest[n]) {
				n--
			}
			all = append(all, Event{e.Time, rest[:n]})
			rest = rest[n:]
		}
		all = append(all, Event{e.Time, rest})
	}
	return all
}

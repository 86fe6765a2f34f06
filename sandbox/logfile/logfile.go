// Package logfile writes and reads a container's output as Docker's json-file
// driver stores it: one JSON object a line, {"log":"text\n","stream":"stdout",
// "time":"..."}, in the file log of the container's directory, and what is older
// in log.1, log.2 ... The monitor writes; any process reads, without a lock.
package logfile

import (
	"strconv"
	"strings"
	"time"
)

// Name is the file in a container's directory that is written to. Older ones
// have a number behind it.
const Name = "log"

// Stream is where a line came from.
type Stream string

// The two streams of a program. A terminal has only the first.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Line is one record. A line of the program's that is very long is several
// records, of which only the last ends in a newline.
type Line struct {
	Log    string    `json:"log"`
	Stream Stream    `json:"stream"`
	Time   time.Time `json:"time"`
}

// maxLine is where a line without an end is cut, in bytes, as Docker does.
const maxLine = 16 << 10

// maxRecord is longer than any record: a byte becomes six at most (\u0000).
const maxRecord = 6*maxLine + 256

// numbered is the name of the n-th file; 0 is the one that is written to.
func numbered(n int) string {
	if n == 0 {
		return Name
	}
	return Name + "." + strconv.Itoa(n)
}

// number is numbered's inverse.
func number(name string) (n int, ok bool) {
	if name == Name {
		return 0, true
	}
	text, ok := strings.CutPrefix(name, Name+".")
	n, err := strconv.Atoi(text)
	return n, ok && err == nil && n > 0 && numbered(n) == name
}

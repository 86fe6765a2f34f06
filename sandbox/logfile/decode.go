package logfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// decode reads one record, without its newline. Those that appendRecord has
// written, it reads some ten times faster than encoding/json, which gets all
// others.
func decode(record []byte) (Line, error) {
	if l, ok := decodeOwn(record); ok {
		return l, nil
	}
	var l Line
	if err := json.Unmarshal(record, &l); err != nil {
		return l, err
	}
	if l.Stream != Stdout && l.Stream != Stderr {
		return l, errors.New("a record of no stream")
	}
	return l, nil
}

func decodeOwn(record []byte) (l Line, ok bool) {
	rest, ok := bytes.CutPrefix(record, []byte(`{"log":"`))
	if !ok {
		return l, false
	}
	text, rest, ok := unescape(rest)
	if !ok {
		return l, false
	}
	l.Log, l.Stream = text, Stdout
	after, ok := bytes.CutPrefix(rest, []byte(`","stream":"stdout","time":"`))
	if !ok {
		l.Stream = Stderr
		if after, ok = bytes.CutPrefix(rest, []byte(`","stream":"stderr","time":"`)); !ok {
			return l, false
		}
	}
	at, ok := bytes.CutSuffix(after, []byte(`"}`))
	if !ok || bytes.IndexByte(at, '\\') >= 0 {
		return l, false
	}
	err := l.Time.UnmarshalText(at)
	return l, err == nil
}

// unescape reads the inside of a JSON string up to its closing quote, and
// returns what is from there on. What appendEscaped does not write is not ok.
func unescape(b []byte) (text string, rest []byte, ok bool) {
	out := make([]byte, 0, min(len(b), maxLine))
	start := 0 // of what stands for itself
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			out = append(out, b[start:i]...)
			return string(out), b[i:], utf8.Valid(out)
		case c < ' ':
			return "", nil, false
		case c != '\\':
			i++
		default:
			char, size := escape(b[i:])
			if size == 0 {
				return "", nil, false
			}
			out = utf8.AppendRune(append(out, b[start:i]...), char)
			i += size
			start = i
		}
	}
	return "", nil, false
}

// escape reads an escape at the beginning of b, and how long it is: 0 where it
// is none that appendByte writes.
func escape(b []byte) (char rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\':
		return rune(b[1]), 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		if len(b) < 6 {
			return 0, 0
		}
		n, err := strconv.ParseUint(string(b[2:6]), 16, 32)
		if err != nil || utf16.IsSurrogate(rune(n)) {
			return 0, 0
		}
		return rune(n), 6
	}
	return 0, 0
}

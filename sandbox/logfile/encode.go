package logfile

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// appendRecord appends one record, byte for byte as encoding/json would write a
// Line, and some twenty times faster: a program may write a gigabyte a second.
func appendRecord(b, text []byte, stream Stream, stamp string) []byte {
	b = append(b, `{"log":"`...)
	b = appendEscaped(b, text)
	b = append(b, `","stream":"`...)
	b = append(b, stream...)
	b = append(b, `","time":"`...)
	b = append(b, stamp...)
	return append(b, "\"}\n"...)
}

// stamp is a time as encoding/json writes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

const hex = "0123456789abcdef"

// appendEscaped appends text as the inside of a JSON string, escaped as Docker's
// records are: for HTML too. What is no UTF-8 becomes U+FFFD.
func appendEscaped(b, text []byte) []byte {
	start := 0 // of what is copied as it is
	for i := 0; i < len(text); {
		for len(text)-i >= 8 && allPlain(binary.LittleEndian.Uint64(text[i:])) {
			i += 8
		}
		if i == len(text) {
			break
		}
		c := text[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, text[start:i]...)
			b = appendByte(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, text[start:i]...)
			b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			start = i + size
		}
		i += size
	}
	return append(b, text[start:]...)
}

// allPlain reports whether eight bytes all stand for themselves: none is a control
// character, beyond ASCII, or one of those that are escaped. It may say no of
// some that do.
func allPlain(x uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	is := func(c uint64) uint64 { return (x ^ ones*c) - ones } // its high bits: bytes that are c
	special := x | (x - ones*' ') | is('"') | is('\\') | is('<') | is('>') | is('&')
	return special&highs == 0
}

func appendByte(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// plain are the bytes that stand for themselves.
var plain = func() (table [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		table[c] = true
	}
	table[0x7f] = true
	for _, c := range []byte{'"', '\\', '<', '>', '&'} {
		table[c] = false
	}
	return table
}()

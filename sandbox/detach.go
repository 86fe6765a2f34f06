package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ParseDetachKeys reads --detach-keys: single characters and ctrl-X, joined by
// commas (docker run's documentation). What it returns is what a terminal sends
// for them.
func ParseDetachKeys(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	var keys []byte
	for part := range strings.SplitSeq(text, ",") {
		key, err := parseKey(part)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(text string) (byte, error) {
	if len(text) == 1 {
		return text[0], nil
	}
	rest, ok := strings.CutPrefix(strings.ToLower(text), "ctrl-")
	if ok && len(rest) == 1 {
		switch c := rest[0]; {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 1, nil
		case strings.IndexByte("@[\\]^_", c) >= 0:
			return c &^ 0x40, nil
		}
	}
	return 0, fmt.Errorf("invalid detach keys: %q is neither one character nor ctrl- and a letter or one of @ [ \\ ] ^ _", text)
}

var errDetach = errors.New("detach keys")

// detachReader passes on what is typed and ends with errDetach at the keys. Keys
// that begin like them and go on otherwise are passed on late and whole.
type detachReader struct {
	from io.Reader
	keys []byte
	seen int    // of the keys
	late []byte // read, and still to be passed on
	end  error  // what comes after late
}

func (r *detachReader) Read(p []byte) (int, error) {
	for len(r.late) == 0 {
		if r.end != nil {
			return 0, r.end
		}
		n, err := r.from.Read(p)
		r.scan(p[:n])
		if r.end == nil {
			r.end = err
		}
		if r.end != nil && r.end != errDetach && r.seen > 0 {
			r.late = append(r.late, r.keys[:r.seen]...)
			r.seen = 0
		}
	}
	n := copy(p, r.late)
	r.late = r.late[n:]
	return n, nil
}

// scan moves what is no part of the keys to late.
func (r *detachReader) scan(typed []byte) {
	for _, b := range typed {
		for r.seen > 0 && b != r.keys[r.seen] {
			// The longest beginning of the keys that ends here may go on with b.
			shorter := r.seen - 1
			for shorter > 0 && !bytes.HasSuffix(r.keys[:r.seen], r.keys[:shorter]) {
				shorter--
			}
			r.late = append(r.late, r.keys[:r.seen-shorter]...)
			r.seen = shorter
		}
		if b != r.keys[r.seen] {
			r.late = append(r.late, b)
			continue
		}
		if r.seen++; r.seen == len(r.keys) {
			r.seen, r.end = 0, errDetach
			return
		}
	}
}

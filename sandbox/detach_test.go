package sandbox

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseDetachKeys(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "ctrl-p,ctrl-q": "\x10\x11", "a": "a", "ctrl-@,x": "\x00x", "ctrl-[": "\x1b", "CTRL-A": "\x01", "ctrl-_": "\x1f",
	} {
		if got, err := ParseDetachKeys(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{",", "ab", "ctrl-", "ctrl-ab", "ctrl-1", "ctrl-p,", "meta-x"} {
		if got, err := ParseDetachKeys(text); err == nil {
			t.Errorf("%q: %q, want an error", text, got)
		}
	}
}

func TestDetachKeysEndTheInputAndNothingElseDoes(t *testing.T) {
	for _, c := range []struct {
		keys, typed, passed string
		detached            bool
	}{
		{"\x10\x11", "ls\n\x10\x11rest", "ls\n", true},
		{"\x10\x11", "\x10x\x11", "\x10x\x11", false},
		{"\x10\x11", "a\x10\x10\x11", "a\x10", true},
		{"\x10\x11", "end\x10", "end\x10", false},
		{"aab", "aaab", "a", true},
		{"aab", "aaxaab", "aax", true},
	} {
		for _, from := range []io.Reader{strings.NewReader(c.typed), iotest.OneByteReader(strings.NewReader(c.typed))} {
			got, err := io.ReadAll(&detachReader{from: from, keys: []byte(c.keys)})
			if string(got) != c.passed || errors.Is(err, errDetach) != c.detached {
				t.Errorf("%q typed with keys %q: %q passed on, %v", c.typed, c.keys, got, err)
			}
		}
	}
}

// FuzzDetach holds that all that is typed before the keys goes through, and nothing
// behind them, however it comes.
func FuzzDetach(f *testing.F) {
	f.Add("ctrl-p,ctrl-q", []byte("ls\x10\x10\x11rest"), byte(1))
	f.Add("a,a,b", []byte("aaxaaab"), byte(2))
	f.Add("ctrl-@,@,ctrl-[", []byte("\x00@\x00@\x1b"), byte(0))
	f.Fuzz(func(t *testing.T, text string, typed []byte, chunk byte) {
		keys, err := ParseDetachKeys(text)
		if err != nil || len(keys) == 0 {
			return
		}
		var from io.Reader = bytes.NewReader(typed)
		if chunk%3 == 0 {
			from = iotest.OneByteReader(from)
		}
		before, _, found := bytes.Cut(typed, keys)
		got, err := io.ReadAll(iotest.OneByteReader(&detachReader{from: from, keys: keys}))
		if !bytes.Equal(got, before) || found != errors.Is(err, errDetach) || !found && err != nil {
			t.Errorf("%q typed with keys %q: %q passed on, %v", typed, keys, got, err)
		}
	})
}

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"rootlet/sandbox"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 漢字 …":                     "plain äöü 漢字 …",
		"\x1b]0;x\x07\n{\"fake\":1}":         `\x1b]0;x\a\n{"fake":1}`,
		"a\tb\r\x7f":                         `a\tb\r\x7f`,
		"csi \u009b1m":                       `csi \u009b1m`,
		"right-to-left \u202emoc.live\u2069": `right-to-left \u202emoc.live\u2069`,
		"not utf-8 \xff\x9b":                 "not utf-8 \ufffd\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

type hintedError struct{ hint string }

func (e *hintedError) Error() string { return "no\x1b[31m way" }
func (e *hintedError) Hint() string  { return e.hint }

func TestFailed(t *testing.T) {
	for hint, want := range map[string]string{
		"":                   "rootlet: error: step: no\\x1b[31m way\n",
		"type this":          "rootlet: error: step: no\\x1b[31m way\nrootlet: hint: type this\n",
		"type this\nor that": "rootlet: error: step: no\\x1b[31m way\nrootlet: hint: type this\nrootlet: hint: or that\n",
	} {
		var out bytes.Buffer
		p := printer{out: &out}
		p.failed(fmt.Errorf("step: %w", &hintedError{hint}))
		if out.String() != want {
			t.Errorf("%q: %q, want %q", hint, out.String(), want)
		}
	}
}

func TestNoticesAreQuiet(t *testing.T) {
	var out bytes.Buffer
	p := printer{out: &out, quiet: true}
	p.notice("x")
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestExit(t *testing.T) {
	plain := errors.New("plain")
	for name, test := range map[string]struct {
		err    error
		code   int
		silent bool
	}{
		"none":               {nil, 0, true},
		"program":            {exitStatus(42), 42, true},
		"program ended well": {exitStatus(0), 0, true},
		"plain":              {plain, 1, false},
		"usage":              {usage("rootlet ps", "unknown flag --x"), 125, false},
		"engine":             {&engineError{plain}, 125, false},
		"monitor":            {&sandbox.Failure{Message: "x", Code: 127}, 127, false},
		"worker, in rm":      {&sandbox.Failure{Message: "x", Code: 1}, 1, false},
		"worker, in run":     {&engineError{&sandbox.Failure{Message: "x", Code: 1}}, 125, false},
		"interrupted":        {&interruptedError{syscall.SIGINT}, 130, false},
		"terminated in run":  {&engineError{&interruptedError{syscall.SIGTERM}}, 143, false},
		"template":           {&formatError{plain}, 64, false},
		"wrapped":            {fmt.Errorf("step: %w", &engineError{plain}), 125, false},
	} {
		var out bytes.Buffer
		p := printer{out: &out}
		if code := p.exit(test.err); code != test.code || (out.Len() == 0) != test.silent || bytes.Count(out.Bytes(), []byte("error:")) > 1 {
			t.Errorf("%s: exit code %d, printed %q", name, code, out.String())
		}
	}
}

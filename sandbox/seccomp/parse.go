package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	profiles "github.com/moby/profiles/seccomp"
)

// MaxSize is how many bytes a profile may have; Docker's has 18,000.
const MaxSize = 1 << 20

// LineError says in which line of a profile something is wrong.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Parse reads a profile in Docker's format. An error is a *LineError.
//
// It is stricter than Docker where a slip of the pen would open what its author wanted
// closed: a rule with a key that does not exist, as "arg" for "args", is an error, and
// so is a profile without a default. Names of calls that this machine has not are none.
func Parse(text []byte) (*Profile, error) {
	p, at, err := parse(text)
	if err != nil {
		return nil, &LineError{lineOf(text, at), err}
	}
	return p, nil
}

// parse returns, with an error, how far it came.
func parse(text []byte) (*Profile, int64, error) {
	if len(text) > MaxSize {
		return nil, 0, fmt.Errorf("%d bytes: a profile may have %d", len(text), MaxSize)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(json.RawMessage)); errors.As(err, &syntax) {
		return nil, syntax.Offset, errors.New(syntax.Error())
	}
	r := reader{text: text, Decoder: json.NewDecoder(bytes.NewReader(text))}
	r.DisallowUnknownFields()
	if err := r.profile(); err != nil {
		return nil, r.begins, plain(err)
	}
	p, err := fromDocker(&r.Seccomp)
	if err != nil {
		return nil, r.begins, err
	}
	p.rules = r.rules
	return p, 0, nil
}

// plain takes the package's and the types' names out of what json says.
func plain(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("%s: a %s does not go there", kind.Field, kind.Value)
	}
	if text, ok := bytes.CutPrefix([]byte(err.Error()), []byte("json: ")); ok {
		return errors.New(string(text))
	}
	return err
}

// reader goes through a profile. It knows where it is, so that an error can say so.
type reader struct {
	*json.Decoder
	text   []byte
	begins int64 // where the value begins that was read last
	profiles.Seccomp
	rules []rule
}

// profile reads the outermost object.
func (r *reader) profile() error {
	if err := r.open('{'); err != nil {
		return err
	}
	for r.More() {
		key, err := r.Token()
		if err != nil {
			return err
		}
		if key == "syscalls" {
			err = r.syscalls()
		} else if to := r.field(key.(string)); to != nil {
			if err = r.value(to); err == nil {
				err = r.check(key.(string))
			}
		} else {
			r.begins = r.InputOffset()
			err = fmt.Errorf("unknown field %q", key)
		}
		if err != nil {
			return err
		}
	}
	r.begins = 0
	return nil
}

// check looks at a value as soon as it was read.
func (r *reader) check(key string) error {
	var err error
	switch key {
	case "defaultAction":
		if _, err = verdictOf(r.DefaultAction, nil); err != nil {
			err = fmt.Errorf("%s: %w", key, err)
		}
	case "flags":
		_, err = flagsOf(r.Flags)
	}
	return err
}

// field is where the value of a key belongs; nil where there is no such key.
func (r *reader) field(key string) any {
	switch key {
	case "defaultAction":
		return &r.DefaultAction
	case "defaultErrnoRet":
		return &r.DefaultErrnoRet
	case "architectures":
		return &r.Architectures
	case "archMap":
		return &r.ArchMap
	case "flags":
		return &r.Flags
	case "comment", "defaultErrno", "listenerPath", "listenerMetadata":
		return new(json.RawMessage) // Podman's name of defaultErrnoRet's number; for SCMP_ACT_NOTIFY
	}
	return nil
}

// syscalls reads the rules.
func (r *reader) syscalls() error {
	if err := r.open('['); err != nil {
		return err
	}
	for r.More() {
		var s struct {
			profiles.Syscall
			Name  string `json:"name"`  // how older profiles have Names
			Errno string `json:"errno"` // Podman's name of errnoRet's number
		}
		if err := r.value(&s); err != nil {
			return err
		}
		switch {
		case s.Name != "" && len(s.Names) > 0:
			return errors.New("both name and names: want one of them")
		case s.Name != "":
			s.Names = []string{s.Name}
		}
		rule, err := ruleOf(&s.Syscall)
		if err != nil {
			return err
		}
		r.rules = append(r.rules, rule)
	}
	_, err := r.Token()
	return err
}

func (r *reader) open(want json.Delim) error {
	r.begins = r.next()
	token, err := r.Token()
	if errors.Is(err, io.EOF) {
		return errors.New("there is nothing in it")
	}
	if err == nil && token != want {
		err = fmt.Errorf("want %q here", want.String())
	}
	return err
}

func (r *reader) value(to any) error {
	r.begins = r.next()
	return r.Decode(to)
}

// next is where the next value begins.
func (r *reader) next() int64 {
	at := r.InputOffset()
	for at < int64(len(r.text)) && slices.Contains([]byte(" \t\r\n,:"), r.text[at]) {
		at++
	}
	return at
}

func lineOf(text []byte, at int64) int {
	return 1 + bytes.Count(text[:min(at, int64(len(text)))], []byte("\n"))
}

package slirp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
	"rootlet/slirp/gate"
)

const tunDevice = "/dev/net/tun"

// Failure is why a driver gives no network: a step, its cause, and what the
// program itself had to say.
type Failure struct {
	Step   string // what was being done
	Err    error  // the cause
	Output string // the end of the program's own output; may be empty
}

// Error puts the failure into one line.
func (f *Failure) Error() string {
	s := f.Step + ": " + f.Err.Error()
	if f.Output != "" {
		s += ": " + strings.Join(strings.Split(f.Output, "\n"), "; ")
	}
	return s
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Hint is what someone can do about it, or empty.
func (f *Failure) Hint() string {
	var hinted interface{ Hint() string }
	switch {
	case errors.As(f.Err, &hinted):
		return hinted.Hint()
	case strings.Contains(f.Output, "unrecognized option"):
		return "slirp4netns 0.4.0 or newer is needed"
	case strings.Contains(f.Output, gate.Lacking):
		return "--network builtin, which decides by itself"
	}
	return ""
}

// TunError says that /dev/net/tun cannot be opened, without which there is no
// tap device. It unwraps to the errno.
type TunError struct{ Err error }

// Error names the device and the errno.
func (e *TunError) Error() string { return fmt.Sprintf("open %s: %v", tunDevice, e.Err) }

// Unwrap gives the errno.
func (e *TunError) Unwrap() error { return e.Err }

// Hint is the line an administrator would type.
func (e *TunError) Hint() string {
	switch {
	case errors.Is(e.Err, unix.EACCES), errors.Is(e.Err, unix.EPERM):
		return "as root: chmod 0666 " + tunDevice
	case errors.Is(e.Err, unix.ENODEV), errors.Is(e.Err, unix.ENXIO):
		return "as root: modprobe tun"
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, errAnotherDevice):
		return "as root: modprobe tun; in a container, give it the device " + tunDevice
	}
	return ""
}

// Need is the line of doctor about it.
func (e *TunError) Need() string { return need.Network }

// explain makes the error of a helper that did not come up. The device is tried
// only now, when something went wrong: the errno of our own attempt says more
// than the helper's text.
func explain(step string, cause error, output, device string) *Failure {
	f := &Failure{Step: step, Err: cause, Output: output}
	if err := probeTun(device); err != nil {
		f.Err = err
	}
	return f
}

// probeTun opens the device. The error is a *TunError.
func probeTun(device string) error {
	tun, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return &TunError{Err: err}
	}
	defer tun.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(tun.Fd()), &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev != tunNumber {
		return &TunError{Err: errAnotherDevice} // a mask, as over /proc
	}
	return nil
}

// tunNumber is the device's (Documentation/networking/tuntap.rst).
var tunNumber = unix.Mkdev(10, 200)

var errAnotherDevice = errors.New("it is another device")

// tail keeps the last bytes written to it, as text fit for a terminal.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailSize is some twenty lines, in bytes.
const tailSize = 2048

// Write keeps the end of what was written so far. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// syslogNoise is what pasta prints where nobody has a system logger, for each line.
const syslogNoise = "Failed to send "

// String drops what does not print: a container's frames can end up in a message.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	clean := strings.Map(func(r rune) rune {
		if r != '\n' && isControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(t.text), "?"))
	var kept strings.Builder
	for line := range strings.Lines(clean) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, syslogNoise) {
			kept.WriteString(line)
		}
	}
	return strings.TrimSpace(kept.String())
}

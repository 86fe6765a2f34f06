package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Signals are those that a client catches to pass them on: all but those about
// its own process, which job control (Ctrl-Z, fg) and the Go runtime need.
func Signals() []os.Signal {
	var list []os.Signal
	for n := unix.SIGHUP; n < 65; n++ {
		switch n {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGTSTP, unix.SIGCONT, unix.SIGTTIN, unix.SIGTTOU, unix.SIGKILL, unix.SIGSTOP:
		default:
			list = append(list, n)
		}
	}
	return list
}

// EndsWork reports whether a signal breaks off what has not become a program
// yet: a start, or a pull.
func EndsWork(s os.Signal) bool {
	switch s {
	case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGKILL:
		return true
	}
	return false
}

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(text string) (unix.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("invalid signal %q: numbers are from 1 to 64", text)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if s := unix.SignalNum(name); s != 0 {
		return s, nil
	}
	if s, ok := realTime(name); ok {
		return s, nil
	}
	return 0, fmt.Errorf("invalid signal %q", text)
}

// realTime reads the names of real-time signals, as systemd's SIGRTMIN+3. The
// two below glibc's SIGRTMIN are the library's own (signal(7)).
func realTime(name string) (unix.Signal, bool) {
	const lowest, highest = 34, 64
	for prefix, base := range map[string]int{"SIGRTMIN": lowest, "SIGRTMAX": highest} {
		offset, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n := 0
		if offset != "" {
			var err error
			if n, err = strconv.Atoi(offset); err != nil {
				return 0, false
			}
		}
		return unix.Signal(base + n), base+n >= lowest && base+n <= highest
	}
	return 0, false
}

// CheckSignal reports whether text, where it is not empty, names a signal.
func CheckSignal(text string) error {
	if text == "" {
		return nil
	}
	_, err := ParseSignal(text)
	return err
}

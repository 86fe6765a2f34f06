package firstproc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzReport holds that whatever is in the report pipe, whose end the program may have
// got hold of, the steps that are blamed are there.
func FuzzReport(f *testing.F) {
	f.Add([]byte{}, byte(1))
	f.Add(bytes.Repeat([]byte{0xff}, reportSize), byte(2))
	f.Add(bytes.Repeat([]byte{0xff}, reportSize), byte(0))
	f.Add(append(binary.NativeEndian.AppendUint64(nil, 3), 2, 0, 0, 0, 0, 0, 0, 0, 'm', 'o', 'r', 'e'), byte(4))
	f.Add([]byte("cut"), byte(4))
	f.Fuzz(func(t *testing.T, report []byte, steps byte) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write(report[:min(len(report), 4096)])
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		err = (&Process{report: r, plan: make([]step, steps)}).Executed()
		if (err == nil) != (len(report) == 0) {
			t.Fatalf("%q: %v", report, err)
		}
		var failed *StepError
		if errors.As(err, &failed) && (len(report) < reportSize || steps == 0) {
			t.Errorf("%q, of %d steps: %v", report, steps, err)
		}
		if err != nil && err.Error() == "" {
			t.Errorf("%q: nothing said", report)
		}
	})
}

// FuzzChild holds that what the process in between says is a process that there is, or
// an error, and that no descriptor is left of it.
func FuzzChild(f *testing.F) {
	number := func(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }
	f.Add(append(number(uint64(os.Getpid())), number(7<<8)...))
	f.Add(number(0))
	f.Add(number(1 << 63))
	f.Add([]byte("cut"))
	f.Fuzz(func(t *testing.T, said []byte) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
		defer ours.Close()
		defer theirs.Close()
		said = said[:min(len(said), 4096)]
		if _, err := theirs.Write(said); err != nil {
			t.Fatal(err)
		}
		_ = unix.Shutdown(fds[1], unix.SHUT_WR)
		child, err := AwaitChild(ours)
		if err != nil {
			return
		}
		defer unix.Close(child.PIDFD)
		if len(said) < childMessage || child.PID <= 0 {
			t.Errorf("%q: process %d", said, child.PID)
		}
		if status, err := child.Wait(); (err == nil) != (len(said) >= 2*childMessage) {
			t.Errorf("%q: status %#x, %v", said, status, err)
		}
	})
}

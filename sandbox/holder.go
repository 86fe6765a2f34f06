package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"rootlet/internal/stage"
)

// leave hands the terminal to a process that keeps it for as long as the program
// runs: without it the program would be hung up, and with nobody to read it
// would stand still.
func (e *session) leave() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	holder, err := os.StartProcess("/proc/self/exe", []string{stage.Holder}, &os.ProcAttr{
		Files: []*os.File{null, null, null, e.console},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", stage.Holder, err)
	}
	return holder.Release()
}

// Holder is the stage: it reads a terminal, its descriptor 3, until the last that
// uses it has ended (EIO, ioctl_tty(2)).
func Holder() int {
	const left = 3
	if err := syscall.SetNonblock(left, false); err != nil {
		return codeEngine
	}
	buffer := make([]byte, 4<<10)
	for {
		if n, err := syscall.Read(left, buffer); n == 0 || err != nil && !errors.Is(err, syscall.EINTR) {
			return 0
		}
	}
}

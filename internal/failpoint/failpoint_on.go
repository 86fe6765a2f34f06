//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"path"
	"reflect"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// killAt names the step to die at. Behind a # stands how many times it is
	// to be passed before, in one process.
	killAt = "ROOTLET_FAILPOINT"
	// noteIn is a file that gets a line for each step that any process comes to:
	// its stage, and a name for killAt.
	noteIn = "ROOTLET_FAILPOINT_LOG"
)

// passed counts, by name, the steps of this process. It is the one variable of
// its kind, and in no binary that anybody uses.
var passed counts

// At is a step with this name; of says more, where it is taken for several
// things.
func At(name string, of ...string) {
	name = strings.Join(append([]string{name}, of...), " ")
	kill, note := os.Getenv(killAt), os.Getenv(noteIn)
	if kill == "" && note == "" {
		return
	}
	if n := passed.count(name); n > 0 {
		name = fmt.Sprintf("%s#%d", name, n)
	}
	if note != "" {
		write(note, path.Base(os.Args[0])+"\t"+name+"\n")
	}
	if name == kill {
		unix.Exit(128 + int(unix.SIGKILL))
	}
}

// Before is a step that goes by the name of the method that is about to be
// called.
func Before(step func() error) {
	name := runtime.FuncForPC(reflect.ValueOf(step).Pointer()).Name()
	At("step " + strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "-fm"))
}

// Environ is what a process that executes itself anew hands on.
func Environ() []string {
	return []string{killAt + "=" + os.Getenv(killAt), noteIn + "=" + os.Getenv(noteIn)}
}

func write(file, line string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(line)
}

// counts may be used by any goroutine.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

// count returns how often the name was counted before.
func (c *counts) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[name]++
	return c.of[name] - 1
}

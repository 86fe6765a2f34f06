package integration

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stageAttack is the program in a container that tries to get out; its arguments say how.
const stageAttack = "attack"

// What an attack prints: that it succeeded, that it has begun, and now and then "turns" and
// how often it has tried.
const (
	hit   = "HIT"
	begun = "begun"
)

var attacks = map[string]func(args []string) error{
	"flip":     flip,
	"cover":    coverAgain,
	"hold":     holdNewcomers,
	"kill":     killNewcomers,
	"grab":     grab,
	"unmask":   unmask,
	"unmasked": func([]string) error { lookBehindMasks(); return nil },
	"tiocsti":  typeAhead,

	"emulation-race": pathRace,
	"emulation-fds":  fdGames,
	"dying":          dyingCallers,
	"dial":           dialOut,
	"handle":         openHandle,
	"nest":           nest,
	"nested":         func([]string) error { return waitForEnd() },
	"sockets":        openSockets,
	"cgroups":        writeCgroups,
	"self":           lookAtSelf,
}

func attack() error {
	runtime.LockOSThread() // what a tracer or a namespace has, a thread has
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		return fmt.Errorf("no attack: %q", os.Args)
	}
	return attacks[os.Args[1]](os.Args[2:])
}

func success(format string, args ...any) { fmt.Printf(hit+": "+format+"\n", args...) }

// again tries without end, and reports how often.
func again(try func() int) error {
	fmt.Println(begun)
	turns, reported := 0, time.Now()
	for {
		turns += try()
		if time.Since(reported) > 50*time.Millisecond {
			fmt.Println("turns", turns)
			reported = time.Now()
		}
	}
}

// breath leaves others a core: two stages play on two.
func breath() { time.Sleep(100 * time.Microsecond) }

// flip exchanges the first path with the second, the third with the fourth, and so on.
func flip(paths []string) error {
	return again(func() int {
		for i := 0; i+1 < len(paths); i += 2 {
			if err := unix.Renameat2(unix.AT_FDCWD, paths[i], unix.AT_FDCWD, paths[i+1], unix.RENAME_EXCHANGE); err != nil {
				success("none: cannot flip: %v", err) // a race that is not run must not pass
			}
		}
		breath()
		return 1
	})
}

// coverAgain binds the first path over the second and takes it off.
func coverAgain(paths []string) error {
	return again(func() int {
		if err := unix.Mount(paths[0], paths[1], "", unix.MS_BIND, ""); err != nil {
			success("none: cannot mount: %v", err)
		}
		breath()
		_ = unix.Unmount(paths[1], unix.MNT_DETACH)
		breath()
		return 1
	})
}

func waitForEnd() error {
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}

// ofTheHost reports whether a path is one of the host's or of rootlet's.
func ofTheHost(link string) bool {
	return strings.Contains(link, "rootlet") || strings.HasPrefix(link, "/home") || strings.HasPrefix(link, "/var/tmp/") ||
		strings.Contains(link, "/etc/passwd") || strings.HasPrefix(link, "mnt:") || strings.HasPrefix(link, "user:")
}

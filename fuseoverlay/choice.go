package fuseoverlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/internal/need"
)

// The drivers, best first.
const (
	Native        = "native"
	FuseOverlayfs = "fuse-overlayfs"
	Copy          = "copy"
)

// Choice says which driver is used here, and why no better one.
type Choice struct {
	Driver   string
	Forced   bool       // by Config.Driver
	RuledOut []RuledOut // what does not work: the better drivers, best first, or the forced one
}

// RuledOut is a driver that does not work here.
type RuledOut struct {
	Driver string
	Why    string
}

func validDriver(name string) bool {
	return name == "" || name == Native || name == FuseOverlayfs || name == Copy
}

// DriverError says that the storage driver that was asked for does not work.
type DriverError struct {
	Driver string
	Err    error
}

func (e *DriverError) Error() string {
	return fmt.Sprintf("storage driver %s does not work here: %v", e.Driver, e.Err)
}

// Unwrap gives the probe's error.
func (e *DriverError) Unwrap() error { return e.Err }

// Need is the line of doctor about it.
func (e *DriverError) Need() string { return need.RootFilesystem }

// Choice says which driver containers get whose owners need no shifting.
func (s *Store) Choice() Choice {
	c, _ := s.choose()
	return c
}

// ChoiceAt says which driver works in a directory that need not be a store's. Nothing
// is kept of it.
func ChoiceAt(dir, forced string) Choice {
	at, err := os.MkdirTemp(dir, ".rootlet-choice-")
	if err != nil {
		return Choice{Driver: Copy, RuledOut: []RuledOut{{Driver: Native, Why: err.Error()}}}
	}
	defer os.RemoveAll(at)
	return (&Store{config: Config{GraphRoot: at, Driver: forced}}).Choice()
}

// choose probes, the first time, and then remembers.
func (s *Store) choose() (Choice, error) {
	s.choiceOnce.Do(func() { s.choice, s.choiceErr = s.findChoice() })
	return s.choice, s.choiceErr
}

func (s *Store) findChoice() (Choice, error) {
	if forced := s.config.Driver; forced != "" {
		c := Choice{Driver: forced, Forced: true}
		if err := s.works(forced); err != nil {
			c.RuledOut = []RuledOut{{Driver: forced, Why: err.Error()}}
			return c, &DriverError{Driver: forced, Err: err}
		}
		return c, nil
	}
	c := Choice{Driver: Copy}
	for _, driver := range []string{Native, FuseOverlayfs} {
		err := s.works(driver)
		if err == nil {
			c.Driver = driver
			break
		}
		c.RuledOut = append(c.RuledOut, RuledOut{Driver: driver, Why: err.Error()})
	}
	return c, nil
}

// driverFor says which driver a container gets: the one that it has, or else
// the chosen one, or else one that can shift owners.
func (s *Store) driverFor(o MountOptions) (string, error) {
	recorded, err := recordedDriver(o.Dir)
	if err != nil || recorded != "" {
		return recorded, err
	}
	c, err := s.choose()
	if err != nil || len(o.UIDs)+len(o.GIDs) == 0 || c.Driver != Native {
		return c.Driver, err
	}
	if c.Forced && o.AnyOwner {
		return Native, nil
	}
	if c.Forced {
		return "", errors.New("the native overlay cannot shift owners: leave the storage driver to rootlet, or use fuse-overlayfs or copy")
	}
	why := s.works(FuseOverlayfs)
	if why == nil {
		return FuseOverlayfs, nil
	}
	if o.AnyOwner {
		return Native, nil
	}
	if o.Copies != nil {
		o.Copies(why)
	}
	return Copy, nil
}

// works says whether a driver works in the store's directory: nil, or the
// reason why not. What a probe found out is kept.
func (s *Store) works(driver string) error {
	if driver == Copy {
		return nil
	}
	facts, err := s.facts(driver)
	if err != nil {
		return err
	}
	known := s.readProbes()
	if p, found := known[driver]; found && p.valid(facts) {
		return p.err()
	}
	p := probed{Facts: facts, When: time.Now()}
	if err := s.probe(driver); err != nil {
		p.Why = err.Error()
	}
	known[driver] = p
	s.writeProbes(known)
	return p.err()
}

// probed is the kept result of a probe.
type probed struct {
	Facts string    `json:"facts"`         // under which it holds
	Why   string    `json:"why,omitempty"` // why the driver does not work; empty: it does
	When  time.Time `json:"when"`
}

// failureHolds is how long it is believed that a driver does not work: whoever
// mends the host wants to see it soon.
const failureHolds = 10 * time.Minute

func (p probed) valid(facts string) bool {
	age := time.Since(p.When)
	return p.Facts == facts && (p.Why == "" || age >= 0 && age < failureHolds)
}

func (p probed) err() error {
	if p.Why == "" {
		return nil
	}
	return errors.New(p.Why)
}

// facts are what a probe's result depends on: kernel, file system, and the
// program and device of fuse-overlayfs.
func (s *Store) facts(driver string) (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(s.config.GraphRoot, &st); err != nil {
		return "", fmt.Errorf("stat %q: %w", s.config.GraphRoot, err)
	}
	facts := fmt.Sprintf("%s %s dev %d", unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Version[:]), st.Dev)
	if driver == Native {
		return facts, nil
	}
	program, err := findFuseOverlayfs()
	if err != nil {
		return "", err
	}
	for _, path := range []string{program, "/dev/fuse"} {
		if err := unix.Stat(path, &st); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		facts += fmt.Sprintf(" %s %o %d %d", path, st.Mode, st.Size, st.Mtim.Sec)
	}
	return facts, nil
}

// readProbes reads what is kept. What cannot be read is as good as nothing.
func (s *Store) readProbes() map[string]probed {
	var known map[string]probed
	if b, err := os.ReadFile(s.path(probesFile)); err != nil || json.Unmarshal(b, &known) != nil || known == nil {
		return map[string]probed{}
	}
	return known
}

// probesFile is below the graph root.
const probesFile = "probes.json"

// writeProbes keeps results; that it cannot costs only another probe.
func (s *Store) writeProbes(known map[string]probed) {
	b, err := json.Marshal(known)
	if err != nil {
		return
	}
	tmp, err := os.CreateTemp(s.config.GraphRoot, filepath.Base(s.path(probesFile))+".*")
	if err != nil {
		return
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return
	}
	_ = os.Rename(tmp.Name(), s.path(probesFile))
}

// forgetProbe drops a result that has proved wrong.
func (s *Store) forgetProbe(driver string) {
	known := s.readProbes()
	delete(known, driver)
	s.writeProbes(known)
}

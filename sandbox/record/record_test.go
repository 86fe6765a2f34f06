package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func create(t *testing.T, r Root, name string) *Container {
	t.Helper()
	c, err := r.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	spec := &Spec{Version: Version, ID: c.ID, Name: c.Name, Created: time.Now(), Image: "debian"}
	if err := c.WriteSpec(spec); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARunningContainerIsExitedOnceItsLockIsFree(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	if err := c.WriteState(State{Status: Running, PID: 42}, true); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Live(c.ID); err != nil || s.Status != Running || s.PID != 42 {
		t.Fatalf("with the lock held: %+v, %v", s, err)
	}
	c.Close()
	s, err := r.Live(c.ID)
	if err != nil || s.Status != Exited || s.ExitCode != 137 || s.PID != 0 || s.Error == "" {
		t.Fatalf("with the lock free: %+v, %v", s, err)
	}
}

func TestLookingAtALockNeverTakesIt(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	c.Close()
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					locked(c.Dir)
				}
			}
		})
	}
	for range 300 {
		again, err := r.Open(c.ID)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	}
	close(stop)
	readers.Wait()
}

func TestOnlyOneHoldsAContainer(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	if _, err := r.Open(c.ID); !errors.Is(err, ErrAlive) {
		t.Fatalf("second open: %v, want ErrAlive", err)
	}
}

func TestANameIsTakenByOneOfMany(t *testing.T) {
	r := Root(t.TempDir())
	won := make(chan *Container, 20)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := r.Create("same")
			var taken *NameTakenError
			if err == nil {
				won <- c
			} else if !errors.As(err, &taken) {
				t.Errorf("got %v, want a NameTakenError", err)
			}
		})
	}
	all.Wait()
	close(won)
	var holders []*Container
	for c := range won {
		holders = append(holders, c)
	}
	if len(holders) != 1 {
		t.Fatalf("%d containers have the name", len(holders))
	}
	defer holders[0].Close()
	dirs, _ := os.ReadDir(r.Containers())
	names, _ := os.ReadDir(r.names())
	if len(dirs) != 1 || len(names) != 1 {
		t.Fatalf("left behind: %d directories, %d names", len(dirs), len(names))
	}
}

func TestANameOutlivedByItsContainerIsFree(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	c.Close()
	if err := os.RemoveAll(c.Dir); err != nil { // a crash in the middle of rm
		t.Fatal(err)
	}
	again := create(t, r, "web")
	if id, err := r.Find("web"); err != nil || id != again.ID {
		t.Fatalf("web is %q, %v", id, err)
	}
}

func TestVanishFreesTheNameAtOnce(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	gone, err := c.Vanish()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.List(); err != nil || len(list) != 0 {
		t.Fatalf("still listed: %v, %v", list, err)
	}
	create(t, r, "web")
	if left := r.Removed(); len(left) != 0 {
		t.Fatalf("%v has a deleter still", left)
	}
	c.Close()
	if left := r.Removed(); len(left) != 1 || left[0] != gone {
		t.Fatalf("without its deleter: %v, want %s", left, gone)
	}
}

func TestOneDamagedRecordHidesNoOther(t *testing.T) {
	r := Root(t.TempDir())
	good, bad, empty := create(t, r, "good"), create(t, r, "bad"), create(t, r, "empty")
	for c, text := range map[*Container]string{bad: `{"version":1,"id":`, empty: ""} {
		if err := os.WriteFile(filepath.Join(c.Dir, "spec.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	for _, e := range list {
		if (e.Err == nil) != (e.ID == good.ID) {
			t.Errorf("%s: %v", e.ID, e.Err)
		}
	}
}

func TestARecordOfAnotherVersionIsNotGuessedAt(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	text := `{"version":99,"id":"` + c.ID + `"}`
	if err := os.WriteFile(filepath.Join(c.Dir, "spec.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Spec(c.ID); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Fatalf("got %v", err)
	}
}

func TestFind(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	create(t, r, "db")
	for _, given := range []string{c.ID, c.ID[:12], "web", "/web"} {
		if id, err := r.Find(given); err != nil || id != c.ID {
			t.Errorf("Find(%q) = %q, %v", given, id, err)
		}
	}
	for _, given := range []string{"", "nope", "../containers", "*", "ffffffffffffffffffff", "we"} {
		var missing *NotFoundError
		if _, err := r.Find(given); !errors.As(err, &missing) {
			t.Errorf("Find(%q): %v, want a NotFoundError", given, err)
		}
	}
}

func TestAContainerInTheMakingIsNotThereYet(t *testing.T) {
	r := Root(t.TempDir())
	c, err := r.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"web", c.ID, c.ID[:6]} {
		if id, err := r.Find(given); err == nil {
			t.Errorf("Find(%q) = %s while it is being made", given, id)
		}
	}
	if left := r.Unfinished(); len(left) != 0 {
		t.Errorf("while it is being made, unfinished are %v", left)
	}
	c.Close() // its maker crashed: it never was, but for a sweep
	if id, err := r.Find(c.ID[:6]); err == nil {
		t.Errorf("after a crash: Find gives %q", id)
	}
	if all, err := r.List(); err != nil || len(all) != 0 {
		t.Errorf("after a crash: List gives %v, %v", all, err)
	}
	if left := r.Unfinished(); len(left) != 1 || left[0] != c.ID {
		t.Errorf("after a crash: unfinished are %v", left)
	}
	if _, err := r.Create("web"); err != nil {
		t.Errorf("after a crash its name is not free: %v", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{"web": true, "a1": true, "a.b-c_d": true, "a": false, "": false, "-a": false, "a b": false, "a/b": false, "a\nb": false, "..": false} {
		if got := CheckName(name) == nil; got != ok {
			t.Errorf("CheckName(%q): %v, want %v", name, got, ok)
		}
	}
}

func TestRandomNamesAreNames(t *testing.T) {
	for _, a := range adjectives {
		for _, s := range surnames[:3] {
			if err := CheckName(a + "_" + s); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRename(t *testing.T) {
	r := Root(t.TempDir())
	web, db := create(t, r, "web"), create(t, r, "db")
	var taken *NameTakenError
	if err := r.Rename(web.ID, "db"); !errors.As(err, &taken) || taken.ID != db.ID {
		t.Fatalf("to a taken name: %v", err)
	}
	if err := r.Rename(web.ID, "site"); err != nil {
		t.Fatal(err)
	}
	if id, err := r.Find("site"); err != nil || id != web.ID {
		t.Fatalf("site is %q, %v", id, err)
	}
	if _, err := r.Find("web"); err == nil {
		t.Fatal("the old name still leads to it")
	}
	create(t, r, "web")
	if s, err := r.Spec(web.ID); err != nil || s.Name != "site" {
		t.Fatalf("its record says %q, %v", s.Name, err)
	}
}

func TestANameLeftOverByARenameIsFree(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	if err := r.Rename(c.ID, "site"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.names(), "web"), []byte(c.ID), 0o600); err != nil { // it died before it freed it
		t.Fatal(err)
	}
	create(t, r, "web")
}

func TestVanishFreesThePresentName(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	if err := r.Rename(c.ID, "site"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Vanish(); err != nil {
		t.Fatal(err)
	}
	create(t, r, "site")
}

func TestAChangeKeepsTheRest(t *testing.T) {
	r := Root(t.TempDir())
	c := create(t, r, "web")
	if err := r.Rename(c.ID, "site"); err != nil {
		t.Fatal(err)
	}
	err := r.Change(c.ID, func(s *Settings) error { s.Restart.Policy = RestartAlways; return nil })
	s, specErr := r.Spec(c.ID)
	if err != nil || specErr != nil || s.Name != "site" || s.Restart.Policy != RestartAlways || s.Image != "debian" {
		t.Fatalf("%+v, %v, %v", s, err, specErr)
	}
}

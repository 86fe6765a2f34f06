package cli

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rootlet/sandbox/record"
)

func TestWhatStartsAgain(t *testing.T) {
	ran := record.State{Started: time.Unix(1, 0), Status: record.Exited}
	stopped := ran
	stopped.Stopped = true
	for _, c := range []struct {
		policy string
		state  record.State
		want   bool
	}{
		{"", ran, false},
		{record.RestartNo, ran, false},
		{record.RestartOnFailure, ran, false},
		{record.RestartAlways, ran, true},
		{record.RestartAlways, stopped, true},
		{record.RestartAlways, record.State{Status: record.Created}, false},
		{record.RestartUnlessStopped, ran, true},
		{record.RestartUnlessStopped, stopped, false},
	} {
		e := record.Entry{State: c.state}
		e.Spec.Restart.Policy = c.policy
		if got := startsAgain(e); got != c.want {
			t.Errorf("%s, %+v: %v", c.policy, c.state, got)
		}
	}
}

func TestTreatEach(t *testing.T) {
	broken := errors.New("broken")
	all := []treated{{id: "a"}, {id: "damaged", err: broken}, {id: "b"}, {id: "c"}}
	var mu sync.Mutex
	tried := map[string]bool{}
	treatEach(all, 2, func(id string) error {
		mu.Lock()
		defer mu.Unlock()
		tried[id] = true
		if id == "b" {
			return broken
		}
		return nil
	})
	if len(tried) != 3 || tried["damaged"] {
		t.Errorf("tried %v", tried)
	}
	for _, s := range all {
		if want := s.id == "b" || s.id == "damaged"; errors.Is(s.err, broken) != want {
			t.Errorf("%s: %v", s.id, s.err)
		}
	}
}

func TestTheSharerOfANetworkStartsBehindItsOwner(t *testing.T) {
	sharing := func(id, with string) record.Entry {
		e := record.Entry{ID: id}
		e.Spec.Network = with
		return e
	}
	entries := []record.Entry{
		sharing("c", record.Sharing+"b"), sharing("b", record.Sharing+"a"), sharing("a", "auto"), sharing("lost", record.Sharing+"gone"),
		sharing("x", record.Sharing+"x"), // no record of ours
	}
	var all []treated
	for _, e := range entries {
		all = append(all, treated{id: e.ID, behind: behind(e, entries)})
	}
	var order []string
	treatInTurn(all, 1, func(id string) error { order = append(order, id); return nil })
	if got := strings.Join(order, " "); got != "a lost b c x" {
		t.Error(got)
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{"/usr/bin/rootlet": "/usr/bin/rootlet", "/a b": "'/a b'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}

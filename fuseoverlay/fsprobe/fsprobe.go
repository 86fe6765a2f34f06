// Package fsprobe tries out in a directory what a store needs of its file system:
// the call itself says whether it works there, for the same file system can or
// cannot by its server, its mount options, or who asks.
//
// It knows neither stores nor drivers. A worker calls it, in U1, where alone it shows
// whether a file can be given to another id.
package fsprobe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The features, as they are told to the user.
const (
	Writing  = "writing"
	Xattrs   = "user extended attributes"
	Hard     = "hard links"
	Symbolic = "symbolic links"
	Owners   = "files of other ids"
	Modes    = "file modes"
	Case     = "names that differ in case"
	Long     = "names of 255 bytes"
	Rename   = "a rename over what is there"
	Flock    = "flock"
	OFD      = "open file description locks"
	Room     = "room"
	Tmpfile  = "files without a name"
	Sockets  = "unix sockets"
	Exec     = "programs that may be executed"
)

// Report is what a directory gives.
type Report struct {
	FS     string  `json:"fs"` // the name of its file system
	Faults []Fault `json:"faults,omitempty"`
}

// Fault is a feature that a directory lacks.
type Fault struct {
	Feature string `json:"feature"`
	Why     string `json:"why"`              // the error of the call
	Layers  bool   `json:"layers,omitempty"` // no layer can lie there
}

func (f Fault) String() string { return "no " + f.Feature + ": " + f.Why }

// Unfit are the faults by which no layers can be there.
func (r Report) Unfit() []string {
	var why []string
	for _, f := range r.Faults {
		if f.Layers {
			why = append(why, f.String())
		}
	}
	return why
}

// trial is one feature, tried in a directory of its own.
type trial struct {
	feature string
	layers  bool
	try     func(dir string) error
}

// Dir tries a directory out. other is an id that the caller may give files to; with
// 0 that is not tried.
func Dir(dir string, other int) Report {
	var r Report
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Report{FS: "unknown", Faults: []Fault{{Writing, err.Error(), true}}}
	}
	r.FS = Name(dir, int64(uint32(st.Type)))
	at, err := os.MkdirTemp(dir, ".rootlet-fsprobe-")
	if err != nil {
		r.Faults = []Fault{{Writing, plain(err), true}}
		return r
	}
	defer os.RemoveAll(at)
	trials := []trial{
		{Room, true, room},
		{Modes, true, modes},
		{Xattrs, true, xattrs},
		{Hard, true, hardLinks},
		{Symbolic, true, symlinks},
		{Case, true, cases},
		{Long, true, longNames},
		{Rename, true, renames},
		{Flock, true, flock},
		{OFD, false, ofdLocks},
		{Tmpfile, false, tmpfile},
		{Sockets, false, sockets},
		{Exec, false, execute},
	}
	if other != 0 {
		trials = append(trials, trial{Owners, true, owners(other)})
	}
	for _, t := range trials {
		dir, err := os.MkdirTemp(at, "")
		if err != nil {
			r.Faults = append(r.Faults, Fault{Writing, plain(err), true})
			break
		}
		if err := t.try(dir); err != nil {
			r.Faults = append(r.Faults, Fault{t.feature, plain(err), t.layers})
		}
	}
	return r
}

// plain is an error without the names of what was made for the trial.
func plain(err error) string {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return fmt.Sprintf("%s: %v", path.Op, path.Err)
	case errors.As(err, &link):
		return fmt.Sprintf("%s: %v", link.Op, link.Err)
	}
	return err.Error()
}

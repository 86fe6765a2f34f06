// Package hostile is the corpus of images, registries and archives that attack
// whoever takes them (threats 14 to 17 and 23 to 33), as data: what is offered,
// and what must come of it. Nothing of it is a file: each is made when it is
// asked for.
//
// It runs nothing itself. integration/corpus_test.go offers each case to the
// binary, as a user would meet it, and looks after what must not have happened;
// docs/hostile.md is the table. It is part of no program.
package hostile

import (
	"fmt"
	"runtime"

	"rootlet/pull/registrytest"
)

// Scene is where a case takes place.
type Scene struct {
	Registry *registrytest.Registry // that serves the case
	Other    *registrytest.Registry // another host, for which nothing is meant
	Victim   string                 // directory of the user's, with a file hello in it
	Base     registrytest.Layer     // has a shell and its tools; a good image is in the store that has it alone
	Extra    registrytest.Layer     // another good image has Base and this
}

// Other host: what it may see of a case.
const (
	OtherMayAnswer = iota // anything but credentials
	OtherUntouched        // nothing at all
)

// Case is one attack. An image is first pulled; an archive is loaded. Run is
// then what a container of it is to do.
type Case struct {
	Class int    // in threats.md
	Name  string // also the repository's
	What  string // for the table, where the name does not say it

	Serve   func(s *Scene, name string) // puts it into the registry
	Archive func(s *Scene) []byte       // given to load, in Serve's place
	Loads   string                      // the name that load gives it

	Settings string // the user's configuration

	Login  bool     // the user has credentials for the registry
	Other  int      // what the other host may see
	Pull   []string // flags of pull
	Suffix string   // after the image's name, as :tag or @digest
	Run    []string // flags, a "--", and the container's arguments; nil: it is not run

	// Refused is what the last command's error says (a regular expression);
	// empty: it succeeds, confined.
	Refused string
	Shows   string // what the container prints (regular expressions)
	Hides   string // what it does not
}

// shell has a container of the image run a script.
func shell(script string) []string { return []string{"--", "sh", "-c", script} }

// plain has it run the image's own command, with flags.
func plain(flags ...string) []string { return append(flags, "--") }

// Corpus lists all cases, by class.
func Corpus() []Case {
	var all []Case
	for _, room := range [][]Case{
		users(), environments(), injections(), labels(),
		traversals(), whiteouts(), hardlinks(), kinds(), xattrs(), bombs(),
		lies(), manifests(), indexes(), configs(), registries(), confusions(), links(), archives(), limits(),
	} {
		all = append(all, room...)
	}
	return all
}

// of gives cases their class.
func of(class int, cases ...Case) []Case {
	for i := range cases {
		cases[i].Class = class
	}
	return cases
}

// String names a case as the table does.
func (c Case) String() string { return fmt.Sprintf("%d-%s", c.Class, c.Name) }

// arch is the architecture that images are for.
const arch = runtime.GOARCH

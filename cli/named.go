package cli

import (
	"rootlet/sandbox"
	"rootlet/sandbox/record"
)

// container is one that a user has named.
type container struct {
	paths sandbox.Paths
	root  record.Root
	id    string
	given string // as he did
}

// findContainer looks up a container by its id, its name, or the first digits of
// its id.
func findContainer(given string) (container, error) {
	paths, err := findPaths()
	if err != nil {
		return container{}, err
	}
	c := container{paths: paths, root: record.Root(paths.Data), given: given}
	c.id, err = c.root.Find(given)
	return c, err
}

func (c container) spec() (record.Spec, error)  { return c.root.Spec(c.id) }
func (c container) live() (record.State, error) { return c.root.Live(c.id) }

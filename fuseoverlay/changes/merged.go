package changes

import "path"

// Walk shows every name of a root that layers make together, the topmost first:
// where it lies, and its path from the root. A directory comes before what is in
// it. It is how a root is read without being mounted.
func (l Layers) Walk(visit func(dir int, base, name string) error) error {
	return l.walk("", visit)
}

func (l Layers) walk(in string, visit func(dir int, base, name string) error) error {
	names, err := l.names()
	if err != nil {
		return err
	}
	for _, base := range names {
		f, err := l.find(base)
		if err != nil {
			return err
		}
		if f == nil {
			continue // gone meanwhile
		}
		name := path.Join(in, base)
		if err := visit(f.dir, base, name); err != nil {
			return err
		}
		if !f.isDir() {
			continue
		}
		inside, err := l.enter(base)
		if err != nil {
			return err
		}
		err = inside.walk(name, visit)
		inside.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

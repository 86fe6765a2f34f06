package fuseoverlay

import "fmt"

// DamagedError says that a file of the store is not what was written to it.
type DamagedError struct {
	What string // the file, or what it is about
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.What, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *DamagedError) Hint() string {
	return "`rootlet system check` says what is wrong with the store, and with --repair mends it"
}

// sound reports what of the lists keeps containers/storage from opening the
// store: one bad digest in one image's record does.
func (v View) sound() error {
	images, err := v.records()
	if err != nil {
		return err
	}
	for i := range images {
		if err := soundDigests(&images[i]); err != nil {
			return &DamagedError{What: fmt.Sprintf("the record of image %s", images[i].ID), Err: err}
		}
	}
	_, err = v.Layers()
	return err
}

package cli

import "errors"

// each has do work on one name after another. It goes on past one that fails,
// prints its error, and ends with Docker's exit status for that. The user can
// break it off.
func (a *app) each(names []string, do func(name string) error) error {
	wrong := false
	for _, name := range names {
		if err := do(name); err != nil {
			var interrupted *interruptedError
			if errors.As(err, &interrupted) {
				return err
			}
			a.failed(err)
			wrong = true
		}
	}
	if wrong {
		return exitStatus(ExitError)
	}
	return nil
}

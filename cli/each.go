package cli

// each has do work on one name after another. It goes on past one that fails,
// prints its error, and ends with Docker's exit status for that.
func (a *app) each(names []string, do func(name string) error) error {
	wrong := false
	for _, name := range names {
		if err := do(name); err != nil {
			a.failed(err)
			wrong = true
		}
	}
	if wrong {
		return exitStatus(ExitError)
	}
	return nil
}

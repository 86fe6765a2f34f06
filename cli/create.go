package cli

import "rootlet/sandbox"

// createCmd is `rootlet create`.
type createCmd struct {
	newContainer
}

// Run makes a container and leaves it to start.
func (c *createCmd) Run(a *app) error {
	a.quiet = c.Quiet
	request, err := c.request(a)
	if err != nil {
		return &engineError{err}
	}
	request.CreateOnly = true
	return c.begin(a, request, sandbox.Streams{Stdin: a.stdin, Signals: a.signals, Notice: a.notice})
}

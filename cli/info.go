package cli

type infoCmd struct{}

func (*infoCmd) Run(a *app) error { return nil }

type infoWork struct{}

func (*infoWork) do(t *task) (any, error) { return t.store.Choice(), nil }

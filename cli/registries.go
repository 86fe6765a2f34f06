package cli

import (
	"context"
	"errors"
	"os"

	"rootlet/fuseoverlay"
	"rootlet/pull"
	"rootlet/pull/registries"
	"rootlet/pull/registry"
)

// registries reads what is set up about registries. It is here and not in the
// worker that files and variables are read, and credential helpers run: they are
// the user's.
func (a *app) registries(authFile string) (*registries.Settings, error) {
	return registries.Read(registries.Options{
		Getenv: os.Getenv, UID: os.Getuid(), AuthFile: authFile, Warn: a.notice,
		Mirrors: a.config.RegistryMirrors, Insecure: a.config.InsecureRegistries, TokenServers: a.config.TokenServers,
	})
}

// sources are the images that a name may mean, and where to ask for each.
func (a *app) sources(name string, verify *bool) ([]pullSource, error) {
	settings, err := a.registries("")
	if err != nil {
		return nil, err
	}
	refs, err := settings.Names(name)
	if err != nil {
		return nil, noName(name, err)
	}
	var list []pullSource
	err = a.askingHelpers(func(ctx context.Context) error {
		for _, ref := range refs {
			endpoints, err := settings.Endpoints(ctx, ref, verify)
			if err != nil {
				return err
			}
			list = append(list, pullSource{Ref: ref.Name(), Endpoints: endpoints})
		}
		return nil
	})
	return list, err
}

// askingHelpers does what may run a credential helper, which may ask its user in
// turn, who may break that off. A terminal's Ctrl-C ends the helper by itself, and
// may do so before it comes to us.
func (a *app) askingHelpers(do func(context.Context) error) error {
	err := a.unlessSignalled(do)
	var interrupted *interruptedError
	if err == nil || errors.As(err, &interrupted) {
		return err
	}
	return a.orInterrupted(err)
}

// endpoint is where an image is, and with what login.
func (a *app) endpoint(settings *registries.Settings, ref pull.Reference, verify *bool) (config registry.Config, err error) {
	err = a.askingHelpers(func(ctx context.Context) error {
		config, err = settings.Endpoint(ctx, ref, verify)
		return err
	})
	return config, err
}

// registryHost is endpoint for what is no image's.
func (a *app) registryHost(settings *registries.Settings, host string, verify *bool) (config registry.Config, err error) {
	err = a.askingHelpers(func(ctx context.Context) error {
		config, err = settings.Host(ctx, host, verify)
		return err
	})
	return config, err
}

// storedAlias is the first of the images that a short name means which is here.
func (a *app) storedAlias(images fuseoverlay.View, given string) (string, bool) {
	settings, err := a.registries("")
	if err != nil {
		return "", false // whoever pulls it will say so
	}
	refs, err := settings.Names(given)
	if err != nil {
		return "", false
	}
	for _, ref := range refs {
		if _, err := images.Image(ref.Name()); err == nil {
			return ref.Name(), true
		}
	}
	return "", false
}

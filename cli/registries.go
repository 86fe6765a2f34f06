package cli

import (
	"context"
	"os"

	"rootlet/fuseoverlay"
	"rootlet/pull/registries"
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
	for _, ref := range refs {
		endpoints, err := settings.Endpoints(context.Background(), ref, verify)
		if err != nil {
			return nil, err
		}
		list = append(list, pullSource{Ref: ref.Name(), Endpoints: endpoints})
	}
	return list, nil
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

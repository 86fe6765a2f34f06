package cli

import (
	"context"

	"rootlet/pull"
	"rootlet/pull/registry"
)

// tags lists the tags of a repository, most of them at most.
func (a *app) tags(repository string, verify *bool, most int) (pull.Reference, []string, error) {
	settings, err := a.registries("")
	if err != nil {
		return pull.Reference{}, nil, err
	}
	refs, err := settings.Names(repository)
	if err != nil {
		return pull.Reference{}, nil, noName(repository, err)
	}
	ref := refs[0]
	config, err := a.endpoint(settings, ref, verify)
	if err != nil {
		return ref, nil, err
	}
	var tags []string
	err = a.unlessSignalled(func(ctx context.Context) error {
		client, err := registry.Dial(ctx, config)
		if err != nil {
			return err
		}
		defer client.Close()
		tags, err = client.Tags(ctx, most)
		return err
	})
	if err != nil {
		return ref, nil, pull.Explain("list the tags of", ref.Repository(), err)
	}
	// What is no tag can be neither pulled nor shown.
	var good []string
	for _, tag := range tags {
		if _, err := pull.ParseReference(ref.Registry() + "/" + ref.Repository() + ":" + tag); err == nil {
			good = append(good, tag)
		}
	}
	return ref, good, nil
}

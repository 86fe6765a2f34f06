package cli

import (
	"fmt"
	"maps"
	"strings"

	"rootlet/sandbox/events"
	"rootlet/sandbox/volume"
)

// volumeCreateCmd is `rootlet volume create`. It makes directories of the
// user's; no namespace.
type volumeCreateCmd struct {
	Volume string   `arg:"" name:"volume" optional:"" help:"A name; a random one if not given."`
	Driver string   `name:"driver" short:"d" placeholder:"DRIVER" default:"local" help:"local: there is no other."`
	Label  []string `name:"label" sep:"none" placeholder:"KEY=VALUE" help:"A label."`
	Name   string   `name:"name" hidden:""`
	Opt    []string `name:"opt" short:"o" sep:"none" placeholder:"KEY=VALUE" help:"type, o or device: a directory of the host's, by type=none, o=bind and device=/path."`
}

// Run makes the volume and prints its name. That it is there is no error, as in
// Docker.
func (c *volumeCreateCmd) Run(a *app) error {
	if c.Driver != volume.Driver {
		return fmt.Errorf("volume driver %q: rootlet has %s only", c.Driver, volume.Driver)
	}
	if c.Name != "" && c.Volume != "" {
		return usage("rootlet volume create", "the name is given twice: by --name, and alone")
	}
	v := volume.Volume{Name: c.Volume + c.Name, Labels: pairs(c.Label), Options: pairs(c.Opt)}
	if v.Name == "" {
		v.Name, v.Anonymous = volume.RandomName(), true
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	store := volume.In(paths.Data)
	made, err := store.Create(v, true)
	if err != nil {
		return err
	}
	if made {
		_ = events.Append(paths.Data, volume.Event("create", v.Name))
	} else if there, err := store.Inspect(v.Name); err == nil && !sameVolume(there, v) {
		a.notice(fmt.Sprintf("volume %s was there already, with other labels or options: they stay", v.Name))
	}
	_, err = fmt.Fprintln(a.stdout, v.Name)
	return err
}

func sameVolume(a, b volume.Volume) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Options, b.Options)
}

// pairs reads KEY=VALUE flags; a key alone has an empty value.
func pairs(given []string) map[string]string {
	if len(given) == 0 {
		return nil
	}
	all := map[string]string{}
	for _, text := range given {
		key, value, _ := strings.Cut(text, "=")
		all[key] = value
	}
	return all
}
